"""A Kerberos client's first token, by MIT's GSSAPI, and what SPNEGO makes of it.

    tests/common/gss.py CACHE cifs@HOST        prints the token in hex (for a run under another clock)
"""

import ctypes
import sys


class Buffer(ctypes.Structure):
    _fields_ = [("length", ctypes.c_size_t), ("value", ctypes.c_void_p)]

    @classmethod
    def of(cls, data):
        made = cls(len(data), ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p))
        made.kept = data
        return made


class Oid(ctypes.Structure):
    _fields_ = [("length", ctypes.c_uint32), ("elements", ctypes.c_char_p)]

    @classmethod
    def of(cls, data):
        return cls(len(data), data)


class Pair(ctypes.Structure):
    _fields_ = [("key", ctypes.c_char_p), ("value", ctypes.c_char_p)]


class Store(ctypes.Structure):
    _fields_ = [("count", ctypes.c_uint32), ("elements", ctypes.POINTER(Pair))]


NTLM = bytes.fromhex("2b06010401823702020a")
KRB5 = bytes.fromhex("2a864886f712010202")
MS_KRB5 = bytes.fromhex("2a864882f712010202")
HOSTBASED = bytes.fromhex("2a864886f71201020104")
MUTUAL, REPLAY, SEQUENCE, CONF, INTEG = 2, 4, 8, 16, 32


def library():
    return ctypes.CDLL("libgssapi_krb5.so.2")


def check(gss, major, minor):
    if major & 0xFFFF0000:
        text, more, ignored = Buffer(), ctypes.c_uint32(), ctypes.c_uint32()
        gss.gss_display_status(ctypes.byref(ignored), minor, 2, ctypes.byref(Oid.of(KRB5)), ctypes.byref(more), ctypes.byref(text))
        raise RuntimeError(f"GSSAPI: {ctypes.string_at(text.value, text.length).decode() if text.value else hex(major)}")


def first_token(cache, service, flags=MUTUAL | REPLAY | SEQUENCE | INTEG):
    """The AP-REQ for `cifs@host` with a ticket of this cache, in its GSS frame."""
    gss, minor = library(), ctypes.c_uint32()
    at = ctypes.byref
    name, credential, context, out = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p(), Buffer()
    check(gss, gss.gss_import_name(at(minor), at(Buffer.of(service.encode())), at(Oid.of(HOSTBASED)), at(name)), minor)
    pair = Pair(b"ccache", cache.encode())
    store = Store(1, ctypes.pointer(pair))
    check(gss, gss.gss_acquire_cred_from(at(minor), None, 0xFFFFFFFF, None, 1, at(store), at(credential), None, None), minor)
    major = gss.gss_init_sec_context(at(minor), credential, at(context), name, at(Oid.of(KRB5)), flags, 0, None, None, None,
                                     at(out), None, None)
    check(gss, major, minor)
    token = ctypes.string_at(out.value, out.length)
    gss.gss_release_buffer(at(minor), at(out))
    gss.gss_delete_sec_context(at(minor), at(context), None)
    gss.gss_release_cred(at(minor), at(credential))
    gss.gss_release_name(at(minor), at(name))
    return token


def tlv(tag, *parts):
    body = b"".join(parts)
    n = len(body)
    length = bytes([n]) if n < 128 else bytes([0x80 | (n.bit_length() + 7) // 8]) + n.to_bytes((n.bit_length() + 7) // 8, "big")
    return bytes([tag]) + length + body


def spnego(mechs, token):
    """NegTokenInit in its frame (RFC 4178 4.2.1)."""
    init = tlv(0x30, tlv(0xA0, tlv(0x30, *(tlv(6, oid) for oid in mechs))), tlv(0xA2, tlv(4, token)))
    return tlv(0x60, tlv(6, bytes.fromhex("2b0601050502")), tlv(0xA0, init))


if __name__ == "__main__":
    print(first_token(*sys.argv[1:3]).hex())
