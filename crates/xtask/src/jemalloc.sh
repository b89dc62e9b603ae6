#!/bin/sh
# Runs a program with the installed library in front of its own malloc: jemalloc.sh PROGRAM ARGUMENT...
LD_PRELOAD=@prefix@/lib/libjemalloc.so.2${LD_PRELOAD:+:$LD_PRELOAD}
export LD_PRELOAD
exec "$@"
