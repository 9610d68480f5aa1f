#!/bin/sh
# In network namespaces of its own: a machine (this one), the metadata services of clouds beyond it, and a container behind it,
# whose traffic the machine forwards. Prints who gets an answer from whom, before and after the rules.
# $1: the rules to try; $2: PATH for them; $3: their argument, if any.
set -eu
ip link set lo up
unshare -n sleep 600 & cloud=$!
unshare -n sleep 600 & container=$!
trap 'kill $cloud $container' EXIT
for pid in $cloud $container; do
  until [ "$(readlink /proc/$pid/ns/net)" != "$(readlink /proc/$$/ns/net)" ]; do sleep 0.05; done
done
within() { pid=$1; shift; nsenter --target "$pid" --net "$@"; }
four='169.254.169.254 168.63.129.16'
six='fd00:ec2::254 fd20:ce::254'

ip link add to-cloud type veth peer name eth1 netns $cloud
ip link add to-container type veth peer name eth0 netns $container
ip addr add 172.30.1.1/24 dev to-cloud
ip addr add 172.30.2.1/24 dev to-container
ip -6 addr add fd30:1::1/64 dev to-cloud nodad
ip -6 addr add fd30:2::1/64 dev to-container nodad
ip link set to-cloud up
ip link set to-container up
echo 1 >/proc/sys/net/ipv4/ip_forward
echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
within $cloud ip link set lo up
within $cloud ip link set eth1 up
within $cloud ip addr add 172.30.1.2/24 dev eth1
within $cloud ip -6 addr add fd30:1::2/64 dev eth1 nodad
within $cloud ip route add default via 172.30.1.1
within $cloud ip -6 route add default via fd30:1::1
for address in $four; do
  within $cloud ip addr add "$address/32" dev lo
  ip route add "$address/32" via 172.30.1.2
done
for address in $six; do
  within $cloud ip -6 addr add "$address/128" dev lo nodad
  ip -6 route add "$address/128" via fd30:1::2
done
within $container ip link set eth0 up
within $container ip addr add 172.30.2.2/24 dev eth0
within $container ip -6 addr add fd30:2::2/64 dev eth0 nodad
within $container ip route add default via 172.30.2.1
within $container ip -6 route add default via fd30:2::1

cat >"$TMPDIR/services.py" <<'END'
import socket, threading
def serve(family, address, port):
    server = socket.create_server((address, port), family=family)
    while True:
        client, _ = server.accept()
        client.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
        client.close()
for place in [("169.254.169.254", 80), ("169.254.169.254", 53), ("168.63.129.16", 80), ("168.63.129.16", 32526)]:
    threading.Thread(target=serve, args=(socket.AF_INET, *place)).start()
for place in [("fd00:ec2::254", 80), ("fd20:ce::254", 80)]:
    threading.Thread(target=serve, args=(socket.AF_INET6, *place)).start()
END
within $cloud python3 "$TMPDIR/services.py" & services=$!
trap 'kill -9 $cloud $container $services' EXIT

ask() { user=$1; shift; "$@" python3 -c '
import os, socket, sys
"".encode("idna")  # what is loaded later may be unreadable for the user
os.setgroups([])
os.setuid(int(sys.argv[1]))
def answers(address, port):
    try:
        with socket.create_connection((address, port), 2) as server:
            return bool(server.recv(1))
    except OSError:
        return False
places = [("169.254.169.254", 80), ("168.63.129.16", 80), ("168.63.129.16", 32526), ("fd00:ec2::254", 80), ("fd20:ce::254", 80), ("169.254.169.254", 53)]
print("".join("+" if answers(*place) else "-" for place in places))' "$user"; }
all() { echo "$1: root $(ask 0) job $(ask 65534) container $(ask 0 within $container)"; }
until ask 0 | grep -q '^++++++$'; do sleep 0.1; done
all before
code=0
env PATH="$2" /bin/sh "$1" ${3:+"$3"} || code=$?
all "after $code"
