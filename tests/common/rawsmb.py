"""NEGOTIATE and SESSION_SETUP by hand (dialect 2.1), for tokens that no client would send."""

import socket
import struct

STATUS = {0: "SUCCESS", 0xC0000016: "MORE_PROCESSING_REQUIRED", 0xC000006D: "LOGON_FAILURE", 0xC0000064: "NO_SUCH_USER",
          0xC0000133: "TIME_DIFFERENCE_AT_DC", 0xC0000418: "NTLM_BLOCKED", 0xC000035C: "NETWORK_SESSION_EXPIRED"}


class Raw:
    def __init__(self, port):
        self.sock = socket.create_connection(("127.0.0.1", port), 10)
        self.sock.settimeout(30)
        self.id, self.session = 0, 0
        body = struct.pack("<HHHHI16sQH", 36, 1, 1, 0, 0, b"\x11" * 16, 0, 0x210)
        status, answer = self.call(0, body)
        assert status == 0, hex(status)
        at, size = struct.unpack_from("<HH", answer, 64 + 56)
        self.hint = answer[at:at + size]

    def call(self, command, body):
        header = struct.pack("<4sHHIHHIIQIIQ16s", b"\xfeSMB", 64, 1, 0, command, 32, 0, 0, self.id, 0, 0, self.session, b"")
        self.id += 1
        self.sock.sendall(struct.pack(">I", len(header) + len(body)) + header + body)
        answer = self.exactly(struct.unpack(">I", self.exactly(4))[0])
        self.session = struct.unpack_from("<Q", answer, 40)[0]
        return struct.unpack_from("<I", answer, 8)[0], answer

    def exactly(self, count):
        got = b""
        while len(got) < count:
            piece = self.sock.recv(count - len(got))
            if not piece:
                raise ConnectionError("closed by the server")
            got += piece
        return got

    def setup(self, token):
        """SESSION_SETUP with this token: the status by its name, and the server's token."""
        status, answer = self.call(1, struct.pack("<HBBIIHHQ", 25, 0, 1, 0, 0, 88, len(token), 0) + token)
        at, size = struct.unpack_from("<HH", answer, 64 + 4)
        return STATUS.get(status, hex(status)), answer[at:at + size] if status in (0, 0xC0000016) else b""

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
