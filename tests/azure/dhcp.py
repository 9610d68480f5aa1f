# Gives the only lease that there is, with the option that names Azure's wire server.
import socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
server.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"veth-azure")
server.bind(("0.0.0.0", 67))
ip = socket.inet_aton
while True:
    asked, options, at = server.recv(2048), {}, 240
    while asked[at] != 255:
        options[asked[at]] = asked[at + 2:at + 2 + asked[at + 1]]
        at += 2 + asked[at + 1]
    kind = b"\x02" if options[53] == b"\x01" else b"\x05"
    told = {53: kind, 54: ip("10.0.0.1"), 51: b"\x00\x01\x51\x80", 1: ip("255.255.255.0"), 3: ip("10.0.0.1"), 245: ip("168.63.129.16")}
    text = b"".join(bytes([code, len(value)]) + value for code, value in told.items()) + b"\xff"
    answer = b"\x02" + asked[1:16] + ip("10.0.0.4") + ip("10.0.0.1") + asked[24:236] + asked[236:240] + text
    server.sendto(answer, ("255.255.255.255", 68))
