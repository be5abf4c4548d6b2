"""A file that is as bad as files get, and what has to become of each of its records. Nothing is parsed here:
every piece is written together with the rows that it is, or with the lines that have to be set aside."""

import collections
import datetime
import hashlib
import itertools

from source import EPOCH, identity

HEADER = b"timestamp,metric_name,gpu_id,device,uuid,modelName,Hostname,container,pod,namespace,value,labels_raw\n"
DAYS = [datetime.datetime(year, 2, 28, tzinfo=datetime.timezone.utc) for year in (1999, 2015, 2025, 2035)]
LONGEST_LABEL, LONGEST_REMAINDER, LONGEST_RECORD = 1024, 64 * 1024, 1024 * 1024
BLANKS = (b"", b"NaN", b"9223372036854775794", b"2147483632", b" ")


class Hostile:
    """The file while it is written, and what it adds up to. It answers what `source.Source` does."""

    def __init__(self, path, cluster, size, chance):
        self.path, self.cluster, self.chance = path, cluster, chance
        self.rows, self.bad, self.size, self.line = collections.Counter(), collections.Counter(), 0, 1
        self.numbers, digest = itertools.count(), hashlib.sha256()
        with path.open("wb") as out:
            for text in self.pieces(size):
                out.write(text)
                digest.update(text)
                self.size += len(text)
                self.line += text.count(b"\n")
        self.count, self.digest = self.rows.total(), digest.hexdigest()

    @property
    def name(self):
        return self.path.name

    def pieces(self, size):
        yield b"\xef\xbb\xbf" + HEADER
        while self.size < size:
            make = self.chance.choice(BAD) if self.chance.randrange(8) == 0 else self.chance.choice(GOOD)
            yield make(self)
        # The last line ends without a line break, and is a row all the same.
        yield plain(self).removesuffix(b"\n")

    # What the pieces are made of

    def cells(self, **chosen):
        """The cells of a record as bytes, by the order of the header."""
        number = next(self.numbers)
        gpu = number % 64
        time = self.chance.choice(DAYS) + datetime.timedelta(seconds=number % 86_000)
        cells = {
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ").encode(),
            "metric": b"DCGM_FI_DEV_POWER_USAGE",
            "gpu": b"%d" % (gpu % 8),
            "device": b"nvidia%d" % (gpu % 8),
            "uuid": b"GPU-%08d" % gpu,
            "model": b"NVIDIA H100",
            "host": b"host-%d" % (gpu // 8),
            "container": b"",
            "pod": b"",
            "namespace": b"",
            "value": b"%.3f" % (self.chance.random() * 1000),
            "labels": b"driver=550",
        }
        return cells | chosen

    def is_row(self, cells, value=None, is_blank=False):
        """Notes that these cells are a row."""
        texts = {name: cell.decode() for name, cell in cells.items()}
        names = ("metric", "gpu", "device", "uuid", "model", "host", "container", "pod", "namespace", "labels")
        time = datetime.datetime.strptime(texts["timestamp"], "%Y-%m-%dT%H:%M:%SZ")
        micros = int((time.replace(tzinfo=datetime.timezone.utc) - EPOCH).total_seconds()) * 1_000_000
        number = None if is_blank else float(texts["value"] if value is None else value)
        self.rows[identity(tuple(texts[name] for name in names), micros, number)] += 1

    def is_bad(self, text):
        """Notes that the record that begins here is set aside."""
        self.bad[self.line] += 1
        return text


def quoted(cells, end=b"\n"):
    return b",".join(b'"' + cell.replace(b'"', b'""') + b'"' for cell in cells.values()) + end


def bare(cells, end=b"\n"):
    return b",".join(cells.values()) + end


# Records that are rows

def plain(file):
    file.is_row(cells := file.cells())
    return quoted(cells)


def unquoted(file):
    file.is_row(cells := file.cells())
    return bare(cells, file.chance.choice((b"\n", b"\r\n")))


def with_breaks_in_quotes(file):
    file.is_row(cells := file.cells(labels=b'a="1",\nb="2"\r\n\n,c'))
    return quoted(cells, b"\r\n")


def blank(file):
    file.is_row(cells := file.cells(value=file.chance.choice(BLANKS)), is_blank=True)
    return bare(cells)


def behind_empty_lines(file):
    file.is_row(cells := file.cells())
    return b"\n\r\n\n" + quoted(cells)


def odd_number(file):
    text = file.chance.choice((b"1e3", b"-0.0", b"+7", b" 12.5 ", b"1e-300", b"9007199254740993", b".5"))
    file.is_row(cells := file.cells(value=text))
    return bare(cells)


def in_many_alphabets(file):
    file.is_row(cells := file.cells(host="höst-Ω-主机-🖥".encode(), pod="p\u200bo\u202ed".encode()))
    return quoted(cells)


def of_its_own_series(file):
    """Nobody else has its labels, and they are as long as they may be."""
    pod = (b"%d-" % next(file.numbers)).ljust(LONGEST_LABEL, b"x")
    file.is_row(cells := file.cells(pod=pod))
    return bare(cells)


def with_the_longest_remainder(file):
    """A thousand series of these are 64 MiB."""
    if file.chance.randrange(40):
        return plain(file)
    labels = (b"%d-" % next(file.numbers)).ljust(LONGEST_REMAINDER, b"r")
    file.is_row(cells := file.cells(labels=labels))
    return quoted(cells)


GOOD = [plain] * 8 + [unquoted] * 8 + [blank] * 2 + [with_breaks_in_quotes, behind_empty_lines, odd_number]
GOOD += [in_many_alphabets, of_its_own_series, with_the_longest_remainder]


# Records that are none

def other_width(file):
    cells = file.cells()
    short, long = bare(cells)[:-1].rpartition(b",")[0] + b"\n", bare(cells | {"more": b"1"})
    return file.is_bad(file.chance.choice((short, long, b",\n", b" \n", b"x\n")))


def other_value(file):
    texts = (b"much", b"inf", b"-Infinity", b"1e999", b"1;5", b"0x10", b"\x00", b"\xff", b"12\x0034")
    return file.is_bad(bare(file.cells(value=file.chance.choice(texts))))


def other_time(file):
    texts = (b"", b"soon", b"2025-02-30T00:00:00Z", b"0000-01-01T00:00:00Z", b"1752871354", b"2025-07-18")
    return file.is_bad(bare(file.cells(timestamp=file.chance.choice(texts))))


def header_again(file):
    return file.is_bad(HEADER)


def not_utf8(file):
    return file.is_bad(quoted(file.cells(host=b"host-\xc3\x28\xa0\xa1")))


def with_nul(file):
    return file.is_bad(bare(file.cells(pod=b"p\x00d")))


def without_identity(file):
    return file.is_bad(bare(file.cells(uuid=b"")))


def too_long_a_label(file):
    return file.is_bad(bare(file.cells(namespace=b"n" * (LONGEST_LABEL + 1))))


def stray_quote(file):
    return file.is_bad(bare(file.cells(host=b'ho"st')))


def text_behind_a_quote(file):
    return file.is_bad(b'"2025-07-18T20:42:34Z"x' + bare(file.cells()))


def never_closed(file):
    """The line of the quote is lost, and not the one behind it."""
    return file.is_bad(b'"2025-07-18T20:42:34Z,' + bare(file.cells())) + plain(file)


def lone_carriage_return(file):
    return file.is_bad(bare(file.cells(model=b"H100\rH200")))


def random_bytes(file):
    text = file.chance.randbytes(file.chance.randrange(1, 2000))
    return file.is_bad(b"z" + text.translate(None, b'"\r\n') + b"\n")


def too_long(file):
    if file.chance.randrange(300):
        return other_width(file)
    return file.is_bad(b"l" * file.chance.choice((LONGEST_RECORD + 1, 10 * LONGEST_RECORD)) + b"\n")


BAD = [other_width, other_value, other_time, header_again, not_utf8, with_nul, without_identity]
BAD += [too_long_a_label, stray_quote, text_behind_a_quote, never_closed, lone_carriage_return]
BAD += [random_bytes, too_long]
