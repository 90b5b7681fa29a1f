#!/bin/sh
# Writes into $1 what a build should never write down.
to=$1
echo "built with $JOBS jobs" > $to/jobs
nproc > $to/cpus
grep -m1 '^model name' /proc/cpuinfo > $to/cpu-facts
date -u +%Y-%m-%d > $to/clock
echo "Copyright $(date +%Y)" > $to/year
# Days since the machine started.
cc -o uptime uptime.c && ./uptime > $to/uptime
ls -U parts > $to/directory-order
# The inode numbers themselves are nobody's business, their order is.
ls -i parts/* | sort -n | sed 's/.* //' > $to/inode-order
stat -f -c %T /tmp > $to/file-system
sh -c 'echo "lock $$" | sed "s/...$//"' > $to/pid-base
# Where the program itself lies: the stack depends on the environment too.
sed -n '1s/-.*//p' /proc/self/maps > $to/addresses
uname -r > $to/kernel
sed -n 's/^MemTotal: *//p' /proc/meminfo > $to/memory
od -An -N8 -tx1 /dev/urandom > $to/random
