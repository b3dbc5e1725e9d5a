#!/bin/bash
# The server's side of a run in the virtual machine (see kernel.py): runs a command in the directory given first.
cd "$1" && shift && exec bash -c "$*" 2>&1
