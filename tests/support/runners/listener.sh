#!/bin/sh
# What the programs of these tests share with GitHub's listener: its lines, and the hooks that its worker calls.
echo $$ >"$PIDS/listener"

say() { printf '2026-01-31 12:00:00Z: %s\n' "$1"; }

# A signal interrupts `wait`, but not a program in the foreground.
rest() { sleep "$1" & wait $!; }

ready() {
  printf '\n√ Connected to GitHub\n\n'
  printf "Current runner version: '2.336.0'\n"
  say 'Listening for Jobs'
}

# A job called $1 of run $2, attempt $3.
begin() {
  say "Running job: $1"
  GITHUB_RUN_ID=$2 GITHUB_RUN_ATTEMPT=$3 GITHUB_JOB=train GITHUB_REPOSITORY=octo/model \
    bash --noprofile --norc -e -o pipefail "$ACTIONS_RUNNER_HOOK_JOB_STARTED" || say 'hook failed'
}

# It ended with $2.
finish() { say "Job $1 completed with result: $2"; }

