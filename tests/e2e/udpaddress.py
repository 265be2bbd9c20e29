"""Addresses of the loopback: no two clients share a budget of a source."""
import itertools

NUMBERS = itertools.count(1)


def some_address():
    number = next(NUMBERS) % 0xfff000
    return '127.%d.%d.%d' % (1 + (number >> 16) % 250, number >> 8 & 0xff, number & 0xff)
