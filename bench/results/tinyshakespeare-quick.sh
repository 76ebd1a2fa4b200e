#!/bin/bash
# Character model of tinyshakespeare, preset quick: 3 minutes on 2 cores.
exec bash "$(dirname "$0")/tinyshakespeare.sh" quick tinyshakespeare-quick
