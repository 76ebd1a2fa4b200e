#!/bin/bash
# Multi30k, German to English: as multi30k.sh, the other way.
SOURCE=de TARGET=en exec "$(dirname "$0")/multi30k.sh" "$@"
