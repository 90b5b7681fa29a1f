#!/bin/sh
to=$1
# The clock of a build starts at the same second each time, but no two run equally fast.
roll() { echo $(( $(date +%N | sed 's/^0*//; s/..$//; s/^$/0/') % 100 )); }
for rate in 02 05 20 50 80 90; do
	r=$(roll)
	if [ $r -lt ${rate#0} ]; then echo late; else echo early; fi > $to/race-$rate
done
date +%N > $to/nanoseconds
uname -n > $to/host-name
id -un > $to/user
echo "$JOBS" > $to/jobs
ls -i parts/* | sort -n | sed 's/.* //' > $to/order
