#!/bin/bash
# Character model of tinyshakespeare, preset good: 20 minutes on 2 cores.
exec bash "$(dirname "$0")/tinyshakespeare.sh" good tinyshakespeare-good
