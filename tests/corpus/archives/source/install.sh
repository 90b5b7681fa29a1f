#!/bin/sh
to=$1
old() { touch -d @1600000000 "$@"; }
echo content > owner
old owner
ar crU $to/libowner.a owner
# The next ones with owners that are not the builder's.
flat() { sed 's/^\([a-z.]*\/ *[0-9]* *\)[0-9]* *[0-9]* */\10     0     /' "$1" > "$2"; }
(umask $UMASK; echo content > mode)
old mode
ar crU mode.a mode
flat mode.a $to/libmode.a
(umask $UMASK; echo content > both)
old both
ar crU $to/libboth.a both
# The file's own time: that of this machine, which no jail moves.
echo content > now
ar crU now.a now
flat now.a $to/libtime.a
# The time that the build is told, in a member's header.
echo content > told
touch -d "@$(date +%s | sed 's/....$/0000/')" told
ar crU told.a told
flat told.a $to/libold.a

cd parts
ar crD $to/liborder.a $(ls -U)
