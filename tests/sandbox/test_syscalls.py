"""The system-call filter, as a program that is interpreted here; the escape suite shows what the kernel makes of it."""

import struct

import pytest

from factory.sandbox import syscalls

ALLOW, REFUSE = 0x7FFF0000, 0x00050000


def run(code: bytes, *, arch: int, number: int, arguments: tuple[int, ...] = ()) -> int:
    """Interpret classic BPF on a made-up call, as the kernel would."""
    data = struct.pack("=IIQ6Q", number, arch, 0, *(*arguments, *[0] * (6 - len(arguments))))
    steps = [struct.unpack_from("=HBBI", code, place) for place in range(0, len(code), 8)]
    at, value = 0, 0
    while True:
        kind, if_true, if_false, operand = steps[at]
        at += 1
        if kind == 0x06:
            return int(operand)
        if kind == 0x20:
            (value,) = struct.unpack_from("=I", data, operand)
        else:
            holds = {0x15: value == operand, 0x35: value >= operand, 0x45: bool(value & operand)}[kind]
            at += if_true if holds else if_false


@pytest.mark.parametrize(
    ("number", "arguments", "expected"),
    [
        (39, (), ALLOW),
        (0, (), ALLOW),
        (41, (1,), ALLOW),
        (41, (2,), ALLOW),
        (41, (10,), ALLOW),
        (41, (16,), ALLOW),
        (41, (40,), REFUSE | 97),
        (41, (17,), REFUSE | 97),
        (16, (3, 0x5412), REFUSE | 1),
        (16, (3, 0xDEAD00005412), REFUSE | 1),
        (16, (3, 0x5413), ALLOW),
        (56, (0x10000011,), REFUSE | 1),
        (56, (0x11,), ALLOW),
        (272, (0x10000000,), REFUSE | 1),
        (272, (0x20000,), ALLOW),
        (435, (), REFUSE | 38),
        (425, (), REFUSE | 38),
        (250, (), REFUSE | 1),
        (321, (), REFUSE | 1),
        (0x40000027, (), REFUSE | 1),
        (90, (0, 0o755), ALLOW),
        (90, (0, 0o4755), REFUSE | 1),
        (91, (3, 0o2755), REFUSE | 1),
        (268, (0, 0, 0o4755), REFUSE | 1),
        (452, (), REFUSE | 38),
        (437, (), REFUSE | 38),
        (85, (0, 0o4755), REFUSE | 1),
        (133, (0, 0o104755), REFUSE | 1),
        (2, (0, 0o101, 0o4755), REFUSE | 1),
        (2, (0, 0o1, 0o4755), ALLOW),
        (257, (0, 0, 0o101, 0o4755), REFUSE | 1),
        (257, (0, 0, 0o20200001, 0o2755), REFUSE | 1),
        (257, (0, 0, 0o101, 0o644), ALLOW),
    ],
)
def test_x86_64(number: int, arguments: tuple[int, ...], expected: int) -> None:
    code = syscalls.program("x86_64")
    assert code
    assert run(code, arch=0xC000003E, number=number, arguments=arguments) == expected


def test_the_other_architecture_and_foreign_calls() -> None:
    code = syscalls.program("aarch64")
    assert code
    assert run(code, arch=0xC00000B7, number=198, arguments=(40,)) == REFUSE | 97
    assert run(code, arch=0xC00000B7, number=172) == ALLOW
    assert run(code, arch=0xC00000B7, number=53, arguments=(0, 0, 0o4755)) == REFUSE | 1
    assert run(code, arch=0xC00000B7, number=56, arguments=(0, 0, 0o100, 0o4755)) == REFUSE | 1
    assert run(code, arch=0x40000003, number=1) == REFUSE | 1
    assert syscalls.program("riscv64") is None
