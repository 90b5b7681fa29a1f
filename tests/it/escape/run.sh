# Every attempt, as a phase of a build runs it. The baits are in ./baits; $1 is `attempts` or, a step later, `afterwards`.
set -eu
set -a
. ./baits
OUT=${OUT:-/out} TARGET=1 INPUT=$SHARED
set +a
case $1 in
attempts)
    for program in files network processes kernel facts; do
        cc -w -O1 -pthread -o $program $program.c
    done
    cc -w -O1 -pthread -o "$MARK" outlive.c
    ./files
    # Inputs come by two ways: one tree alone is bound, several are merged.
    test -r "$SHARED" && test -r /bin/dash
    INPUT=/bin/dash ./files input_written input_by_descriptor input_mode input_time input_renamed \
        input_linked_to_output input_linked_by_descriptor unnamed_file_among_inputs
    ./network
    ./processes
    ./kernel
    ./facts
    rmdir /out 2>/dev/null && echo "attempt output_replaced: ESCAPED (removed)"
    mv /out /build/out 2>/dev/null && echo "attempt output_replaced: ESCAPED (moved)"
    ln -sfT "$BAIT_HOME" /out 2>/dev/null && echo "attempt output_replaced: ESCAPED (linked)"
    echo "attempt output_replaced: held (it can not be removed, moved or linked over)"
    mkdir beats
    # The last thing this step does: whatever is left then must not see the next one.
    ./"$MARK" start beats
    ;;
afterwards)
    ./"$MARK" check beats
    mkdir -p "$OUT/usr"
    echo done > "$OUT/usr/done"
    ;;
esac
