#!/bin/sh
# The first boot of an instance of cml runner launch --cloud: it schedules its own end, downloads cml, and starts it.
# It needs curl, coreutils and systemd.
set -eu
umask 077
units=/etc/systemd/system
if [ -e /run/cml ]; then exit 0; fi
# On an image that was made from a runner the old units exist: those that would power this instance off at once have a
# condition on the instance that they were made for. The one that waits for a runner applies everywhere.
id=/var/lib/cloud/data/instance-id
condition="ExecCondition=/bin/sh -c '[ \"\$\$(cat $id 2>/dev/null)\" = \"$(cat $id 2>/dev/null || :)\" ]'"
if [ -e "$units/cml-agent.service" ]; then systemctl stop cml-deadline.timer cml-boot.timer || :; fi

# Any failure powers the instance off, after a moment for its console to be read.
at_exit() {
  [ "$1" -ne 0 ] || return 0
  echo "cml: this instance cannot become a runner ($1)"
  sleep 30
  systemctl poweroff || shutdown -P now
}
trap 'at_exit $?' EXIT

# First its end, at a fixed time that no restart moves, and a fixed time after each boot, whatever the clock says.
cat >"$units/cml-deadline.service" <<CML_END
[Unit]
Description=Power off this instance at its deadline
[Service]
Type=oneshot
$condition
ExecStart=/bin/systemctl poweroff
CML_END
end=$(date -u -d "+@LIFETIME@ seconds" '+%Y-%m-%d %H:%M:%S UTC')
cat >"$units/cml-deadline.timer" <<CML_END
[Unit]
Description=Power off this instance at its deadline
[Timer]
OnCalendar=$end
OnBootSec=@LIFETIME@
Persistent=true
AccuracySec=1s
[Install]
WantedBy=timers.target
CML_END

# And an end soon, unless the runner is ready by then.
cat >"$units/cml-boot.service" <<'CML_END'
[Unit]
Description=Power off this instance if its runner is not ready in time
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'systemctl is-active --quiet cml-agent.service || systemctl poweroff'
CML_END
cat >"$units/cml-boot.timer" <<'CML_END'
[Unit]
Description=Power off this instance if its runner is not ready in time
[Timer]
OnActiveSec=@START@
AccuracySec=1s
[Install]
WantedBy=timers.target
CML_END
chmod 0644 "$units"/cml-*

systemctl daemon-reload
systemctl enable --now cml-deadline.timer
systemctl enable --now cml-boot.timer
# A kernel that panics restarts instead of staying up for ever; cml-agent.service then powers the instance off.
sysctl -q -w kernel.panic=10 || echo 'cml: cannot set kernel.panic'

# The cml binary, verified by its digest.
program=/usr/local/bin/cml
mkdir -p /usr/local/bin /run/cml
tries=0
until curl --proto '@PROTOCOLS@' --tlsv1.2 -fsSL --connect-timeout 10 --max-time 300 -o "$program.part" '@URL@'; do
  tries=$((tries + 1))
  [ "$tries" -lt 6 ] || exit 1
  sleep $((tries * 2))
done
if ! printf '%s  %s\n' '@SHA256@' "$program.part" | sha256sum -c - >/dev/null; then
  rm -f "$program.part"
  echo 'cml: the downloaded program has another SHA-256 digest than expected'
  exit 1
fi
chmod 0755 "$program.part"
mv "$program.part" "$program"

# Its configuration, in memory and for root alone.
cat >/run/cml/launch.json <<'CML_END'
@DOCUMENT@
CML_END

# However it ends, the instance is powered off; after a restart there is no configuration, so it ends, too. The unit keeps
# its name: images made from older runners have it.
cat >"$units/cml-agent.service" <<CML_END
[Unit]
Description=cml runner
After=network-online.target
Wants=network-online.target
SuccessAction=poweroff
FailureAction=poweroff
[Service]
Type=notify
NotifyAccess=main
$condition
ExecStart=/usr/local/bin/cml runner bootstrap --launch-file /run/cml/launch.json
StandardOutput=journal+console
StandardError=journal+console
Restart=no
RuntimeMaxSec=@LIFETIME@
TimeoutStartSec=@START@
WatchdogSec=180
TimeoutStopSec=110
KillMode=mixed
OOMPolicy=continue
OOMScoreAdjust=-900
[Install]
WantedBy=multi-user.target
CML_END
chmod 0644 "$units/cml-agent.service"
systemctl daemon-reload
systemctl enable cml-agent.service
systemctl start --no-block cml-agent.service
