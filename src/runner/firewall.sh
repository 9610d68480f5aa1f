#!/bin/sh
# Blocks the metadata services of clouds for all users but root, and for containers: they serve the instance's configuration,
# and credentials of its identity. It needs nft, or iptables and ip6tables; without either it fails.
# AWS: 169.254.169.254, fd00:ec2::254. Google: the first, fd20:ce::254. Azure: the first, and 168.63.129.16 (ports 80 and
# 32526). Some of them serve DNS there too, so that all ports but that one are closed.
# With the argument `identity`, jobs may use the instance's identity: only the last address is closed.
set -u
four='168.63.129.16' six=''
if [ "${1:-}" != identity ]; then four="169.254.169.254 $four" six='fd00:ec2::254 fd20:ce::254'; fi

# A rule for each address, with what decides.
rules() {
  for address in $four; do echo "ip daddr $address tcp dport != 53 $1"; done
  for address in $six; do echo "ip6 daddr $address tcp dport != 53 $1"; done
}

with_nft() {
  nft "table inet cml
delete table inet cml
table inet cml {
  chain out {
    type filter hook output priority 0;
    $(rules 'meta skuid != 0 reject')
  }
  chain through {
    type filter hook forward priority 0;
    $(rules drop)
  }
}"
}

# What is forwarded is judged in the table mangle: Docker, whenever it starts again, puts its rules before those of the others.
with_iptables() {
  command=$1
  shift
  for address; do
    "$command" -w -I OUTPUT -d "$address" -p tcp ! --dport 53 -m owner ! --uid-owner 0 -j REJECT || return 1
    "$command" -w -t mangle -I FORWARD -d "$address" -p tcp ! --dport 53 -j DROP || return 1
  done
}

if with_nft; then exit 0; fi
# shellcheck disable=SC2086 # The addresses are words.
with_iptables iptables $four || exit 1
# Without IPv6 there is nothing to keep anybody from.
[ -e /proc/sys/net/ipv6 ] || exit 0
# shellcheck disable=SC2086
with_iptables ip6tables $six
