#!/bin/sh
to=$1
case "$(uname -r) $(id -un)" in *varied\ someone*) m=odd ;; *) m=usual ;; esac
echo $m > $to/kernel-and-user
# Later than the middle of 2031, and not the number of processors that the machine has.
if [ "$(date +%s)" -gt 1945000000 ] && [ "$(nproc)" != "$CPUS" ]; then echo odd; else echo usual; fi > $to/clock-and-cpus
case "$(uname -n) $TZ" in parton\ *|*\ UTC) echo usual ;; *) echo odd ;; esac > $to/host-and-zone
echo "$(id -un) $(uname -n)" > $to/user-or-host
echo "$JOBS $(uname -r)" > $to/jobs-or-kernel
echo "$(sed -n 's/^MemTotal: *//p' /proc/meminfo) $(date +%Y)" > $to/memory-or-year
