#!/bin/sh
to=$1
uname -n > $to/host-name
cat /proc/sys/kernel/domainname > $to/domain
cat /etc/machine-id > $to/machine-id
id -u > $to/uid
# The first field only: the passwd line has the home directory too.
sed -n 's/^\([^:]*\):x:[1-9].*/\1/p' /etc/passwd > $to/user
echo "$HOME" | grep -v "$PWD" > $to/home || echo none > $to/home
pwd > $to/build-path
echo "${LC_ALL-unset}" > $to/locale
date -d @86400 +%H:%M > $to/time-zone
(umask $UMASK; mkdir made)
stat -c %a made > $to/umask
env | grep -c NOISE > $to/environment || :
echo "$TERM" > $to/terminal
stat -L -c %F /proc/self/fd/0 > $to/stdin
