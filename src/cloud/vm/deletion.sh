# Where an instance that is off is billed, it asks its cloud to delete it: before an orderly end, after its runner's, when the lease is over,
# and after a restart.
cat >/usr/local/sbin/cml-delete <<'CML_DELETE'
@SCRIPT@
CML_DELETE
chmod 0700 /usr/local/sbin/cml-delete
off="/usr/local/sbin/cml-delete; $off"
cat >"$units/cml-delete.service" <<CML_END
[Unit]
Description=Delete this instance when it ends
After=network-online.target nss-lookup.target systemd-resolved.service
Before=cml-agent.service
Wants=network-online.target
[Service]
Type=oneshot
RemainAfterExit=yes
$condition
ExecStart=/bin/true
ExecStop=/usr/local/sbin/cml-delete
StandardOutput=journal+console
StandardError=journal+console
TimeoutStopSec=1200
CML_END
mkdir -p "$units/cml-lease.service.d"
cat >"$units/cml-lease.service.d/delete.conf" <<'CML_END'
[Service]
ExecStopPost=/bin/sh -c '[ "$$SERVICE_RESULT" = success ] || [ "$$SERVICE_RESULT" = exec-condition ] || /usr/local/sbin/cml-delete'
TimeoutStopSec=1200
CML_END
ln -sf ../cml-delete.service "$units/multi-user.target.wants"
chmod 0644 "$units/cml-delete.service" "$units/cml-lease.service.d/delete.conf"
systemctl daemon-reload
systemctl start --no-block cml-delete.service
