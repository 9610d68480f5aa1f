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

# A job called $1 of run $2, attempt $3. Its first step, the hook, runs when all actions were downloaded, after $4 seconds.
begin() {
  say "Running job: $1"
  rest "${4:-0.1}"
  GITHUB_RUN_ID=$2 GITHUB_RUN_ATTEMPT=$3 GITHUB_JOB=train GITHUB_REPOSITORY=octo/model \
    bash --noprofile --norc -e -o pipefail "$ACTIONS_RUNNER_HOOK_JOB_STARTED" || say 'hook failed'
}

# It ended with $2.
finish() { say "Job $1 completed with result: $2"; }

# What it does of itself when it is interrupted: it cancels its job $1, if it has one, and ends its session.
interrupted() {
  printf 'Exiting...\n'
  [ -z "$1" ] || { rest 0.3; finish "$1" Canceled; rest 0.3; }
  exit 0
}

# What it keeps of a registration, beside the folder of the program: it is in the configuration that it gets, as JSON of files in
# Base64. They are removed after a whole job only.
files() {
  for name in .runner .credentials .credentials_rsaparams; do
    printf '%s' "$ACTIONS_RUNNER_INPUT_JITCONFIG" | base64 -d |
      sed -n "s/.*\"$name\":\"\([^\"]*\)\".*/\1/p" | base64 -d >"$name"
  done
}
removed() {
  rm .credentials .runner
  printf '√ Removed .credentials\n√ Removed .runner\n'
}

