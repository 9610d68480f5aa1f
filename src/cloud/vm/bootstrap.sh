#!/bin/sh
# The first boot of an instance of cml runner launch --cloud: it schedules its own end, downloads cml, and starts it.
# It needs curl, coreutils and systemd.
set -eu
umask 077
# Units here come before masks and changed copies in /etc/systemd/system.
units=/etc/systemd/system.control
old=/etc/systemd/system
if [ -e /run/cml ]; then exit 0; fi
# An image that was made from a runner has its units, which have a condition on the instance that they were made for: by
# cloud-init's id of it, or by the firmware's where there is no cloud-init.
id=/var/lib/cloud/data/instance-id
[ -e "$id" ] || id=/sys/class/dmi/id/product_uuid
this=$(cat $id 2>/dev/null || :)
condition="ExecCondition=/bin/sh -c '[ \"\$\$(cat $id 2>/dev/null)\" = \"$this\" ]'"
# An instance becomes a runner once: a restart ends it. Google Cloud runs this at every boot.
if grep -qsxF "$condition" "$units"/cml-*.service; then
  echo 'cml: this instance was restarted: it ends'
  systemctl poweroff
  exit 0
fi
if [ -e "$units/cml-agent.service" ] || [ -e "$old/cml-agent.service" ]; then
  rm -rf "$units"/cml-* "$old"/cml-* "$old"/*.wants/cml-*
  systemctl daemon-reload
  systemctl stop cml-deadline.timer cml-boot.timer cml-lease.timer || :
fi
mkdir -p "$units/timers.target.wants" "$units/multi-user.target.wants" /usr/local/bin /usr/local/sbin /run/cml

# Any failure powers the instance off, after a moment for its console to be read.
at_exit() {
  [ "$1" -ne 0 ] || return 0
  echo "cml: this instance cannot become a runner ($1)"
  sleep 30
  systemctl poweroff || shutdown -P now
}
trap 'at_exit $?' EXIT
# How it is powered off where systemd cannot be waited for.
off='systemctl poweroff --force'
# @DELETION@

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
RefuseManualStop=yes
[Timer]
OnCalendar=$end
OnBootSec=@LIFETIME@
Persistent=true
AccuracySec=1s
CML_END

# And an end soon, unless the lease is renewed: seconds since the boot, which no clock changes. It lies in memory, so that
# a restart ends it. The first one lasts until the runner must be ready; a lease far ahead is not one of cml's.
now=$(cut -d. -f1 /proc/uptime) start=@START@ life=@LIFETIME@
echo $((now + start)) >/run/cml/lease
check="read -r up _ </proc/uptime && up=\${up%.*} && read -r end </run/cml/lease &&
[ \"\$up\" -lt \"\$end\" ] && [ \"\$end\" -le \$((up + $start + 300)) ] && [ \"\$up\" -lt $((now + life + 300)) ]"
echo "$check" >/usr/local/sbin/cml-lease
cat >"$units/cml-lease.service" <<CML_END
[Unit]
Description=Power off this instance when its lease is over
FailureAction=poweroff-force
StartLimitIntervalSec=0
[Service]
Type=oneshot
TimeoutStartSec=30
$condition
ExecStart=/bin/sh /usr/local/sbin/cml-lease
CML_END
cat >"$units/cml-lease.timer" <<'CML_END'
[Unit]
Description=Power off this instance when its lease is over
RefuseManualStop=yes
[Timer]
OnActiveSec=60
OnUnitActiveSec=60
AccuracySec=1s
CML_END
ln -sf ../cml-deadline.timer ../cml-lease.timer "$units/timers.target.wants"
chmod 0644 "$units"/cml-*
systemctl daemon-reload
systemctl start cml-deadline.timer cml-lease.timer

# The same without systemd: a process of no unit, with the check in its memory.
setsid sh -c "for file in /sys/fs/cgroup/cgroup.procs /sys/fs/cgroup/systemd/cgroup.procs /sys/fs/cgroup/unified/cgroup.procs; do [ ! -e \$file ] || echo \$\$ >\$file; done
while sh -c \"\$0\"; do sleep 60; done
$off; sleep 60; systemctl poweroff -ff; echo o >/proc/sysrq-trigger" "$check" </dev/null >/dev/null 2>&1 &

# After a restart there is no lease: cloud-init ends the instance then, too.
boot=/var/lib/cloud/scripts/per-boot
mkdir -p $boot
cat >$boot/cml <<CML_END
#!/bin/sh
[ -e /run/cml ] || [ "\$(cat $id)" != "$this" ] || { $off; }
CML_END
chmod 0700 $boot/cml

# A kernel that hangs panics, and one that panics restarts. Where there is a watchdog device it needs systemd to live.
sysctl -q -w kernel.panic=10 kernel.softlockup_panic=1 kernel.watchdog_thresh=60 kernel.hung_task_panic=1 \
  kernel.hung_task_timeout_secs=1800 || echo 'cml: cannot set what a kernel that hangs does'
if [ -e /dev/watchdog ]; then
  mkdir -p $old.conf.d
  printf '[Manager]\nRuntimeWatchdogSec=120\n' >$old.conf.d/cml.conf
  systemctl daemon-reexec
fi

# The cml binary, verified by its digest.
program=/usr/local/bin/cml
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
ExecStart=/usr/local/bin/cml runner bootstrap --launch-file /run/cml/launch.json --lease-file /run/cml/lease
StandardOutput=journal+console
StandardError=journal+console
Restart=no
RuntimeMaxSec=@LIFETIME@
TimeoutStartSec=@START@
WatchdogSec=300
TimeoutStopSec=110
KillMode=mixed
OOMPolicy=continue
OOMScoreAdjust=-900
CML_END
ln -sf ../cml-agent.service "$units/multi-user.target.wants"
chmod 0644 "$units/cml-agent.service"
systemctl daemon-reload
systemctl start --no-block cml-agent.service
