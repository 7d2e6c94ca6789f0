# Before the time limit Slurm sends USR1 to this script alone: the command hears of it as SIGTERM. At a cancellation, a
# preemption or the limit itself Slurm sends SIGTERM to every process, so that is not handed on: a second one would end
# the command before it has saved its work.
signalled= limit_near= ending= pid=
trap 'signalled=yes limit_near=yes; [ -n "$pid" ] && kill -TERM "$pid" 2>/dev/null' USR1
trap 'signalled=yes ending=yes' TERM

# Runs the command once; its exit code is in `code`. A signal cuts `wait` short, so it is called again.
run() {
    "${command[@]}" &
    pid=$!
    if [ -n "$limit_near" ]; then
        kill -TERM "$pid" 2>/dev/null
    fi
    signalled=
    wait "$pid"
    code=$?
    while [ -n "$signalled" ]; do
        signalled=
        wait "$pid"
        again=$?
        if [ "$again" -ne 127 ]; then
            code=$again
        fi
    done
    last=$pid pid=
}

# Whether Slurm still counts this task as running: then it was asked to make room, and has not been cancelled.
is_running() { [ "$(squeue --noheader --jobs="$me" --format=%T)" = RUNNING ]; }

# Puts this task, and no other, into the queue again. (The number of the last task is also that of the array.)
requeue() {
    # A limit shorter than the notice would send it round for ever.
    if [ "$SECONDS" -lt 10 ]; then
        say "stopped too soon to have worked: give a longer --time"
        exit "$code"
    fi
    say "goes back into the queue"
    scontrol requeue "$me" && exit 0
    say "cannot go back into the queue; submit the job again to continue"
    exit "$code"
}

say "begins, start $((${SLURM_RESTART_COUNT:-0} + 1))"
for attempt in 1 2 3 4 5 6 7 8 9 10; do
    run
    say "the command ended with exit code $code"
    if [ "$code" -eq 0 ]; then
        exit 0
    fi
    if [ -n "$limit_near$ending" ]; then
        is_running && requeue
        exit "$code"
    fi
    # A process that was killed, as when memory ran out, is replaced; any other failure would only repeat itself.
    if [ "$code" -ne 137 ]; then
        exit "$code"
    fi
    export MLESTAR_REPLACES=$last
done
say "killed $attempt times: gives up"
exit "$code"
