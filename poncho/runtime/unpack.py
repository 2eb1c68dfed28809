"""Unpack a PONCHO package in parallel: ``python3 -I -S unpack.py ARCHIVE DIR [--jobs N] [--begin OFFSET]``.

Runs with the package's own interpreter, which plain tar has unpacked into DIR already (the archive's first members), so it
needs nothing but Python 3.6 and a few standard modules. Every byte of the archive is checked: a CRC for each chunk, the chunk
table and footer against their own, and the digest in the header against poncho/contents and poncho/manifest.json. Nothing is
written outside of DIR. One line on stderr when anything is off: exit status 3 when it is the archive, 1 when it is the node.

Where the package brings an inflate that is faster than zlib's (poncho/_deflate, libdeflate's) and it loads, that is used.
"""

import os
import sys
import zlib

import _signal  # what signal wraps; that would load enum

try:
    from _sha2 import sha256  # Python >= 3.12; unlike hashlib it does not load OpenSSL
except ImportError:
    try:
        from _sha256 import sha256
    except ImportError:
        from hashlib import sha256

GZIP_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
COMMENT_HEAD = b"\x1f\x8b\x08\x10\x00\x00\x00\x00\x00\xff"
EXTRA_HEAD = b"\x1f\x8b\x08\x04\x00\x00\x00\x00\x00\xff"
EMPTY_TAIL = b"\x03\x00" + bytes(8)
FOOTER = 60
ENTRY = 12
PART = 5000 * ENTRY
LIMIT = 4 << 20
LARGE = 2 << 20  # more than a chunk of small files is
CONTINUES = 1 << 31
NOFOLLOW = os.O_NOFOLLOW | os.O_CLOEXEC
WRITE = os.O_WRONLY | os.O_CREAT | NOFOLLOW


def load_deflate(directory):
    """Return the package's own extension module, or None: it may be for another Python than the one that runs this."""
    sys.path.insert(0, directory)
    try:
        import _deflate
    except ImportError:
        return None
    finally:
        del sys.path[0]
    return _deflate


fast = load_deflate(os.path.dirname(os.path.abspath(__file__)))
crc32 = fast.crc32 if fast else zlib.crc32


class Damaged(Exception):
    """The archive is not what it says it is."""


def number(data):
    return int.from_bytes(data, "little")


def extra(kind, payload):
    """Return the empty gzip member that carries ``payload``; it is what the archive must hold, byte for byte."""
    size = len(payload)
    return EXTRA_HEAD + (size + 4).to_bytes(2, "little") + kind + size.to_bytes(2, "little") + payload + EMPTY_TAIL


begin = 0  # where the package begins in the file; a script that runs itself comes before it


def pread(fd, size, offset):
    offset += begin
    data = os.pread(fd, size, offset)
    while len(data) < size:
        more = os.pread(fd, size - len(data), offset + len(data))
        if not more:
            raise Damaged("is truncated")
        data += more
    return data


class Index:
    """The chunk table: where each chunk lies, how large it is unpacked, and whether it goes on with a file's data."""

    def __init__(self, fd):
        size = os.fstat(fd).st_size - begin
        tail = size - len(extra(b"PF", bytes(FOOTER)))
        if tail < 0:
            raise Damaged("is truncated")
        member = pread(fd, size - tail, tail)
        footer = member[16 : 16 + FOOTER]
        if (
            extra(b"PF", footer) != member
            or footer[:8] != b"PONCHO1\n"
            or zlib.crc32(footer[:-4]) != number(footer[-4:])
        ):
            raise Damaged("is truncated or its end is damaged")
        offset, self.tar_bytes, self.files = (number(footer[at : at + 8]) for at in (8, 16, 24))
        parts, count, self.boot, self.meta, table_crc, frame_crc = (
            number(footer[at : at + 4]) for at in range(32, 56, 4)
        )
        table = b""
        at = offset
        for _ in range(parts):
            payload = pread(fd, min(PART, count * ENTRY - len(table)) + 26, at)[16:-10]
            if pread(fd, len(payload) + 26, at) != extra(b"PI", payload):
                raise Damaged("has a damaged chunk table")
            table += payload
            at += len(payload) + 26
        if at != tail or len(table) != count * ENTRY or zlib.crc32(table) != table_crc:
            raise Damaged("has a damaged chunk table")
        self.header = self._header(fd)
        self.chunks = []
        at = len(self.header)
        total = 0
        for entry in range(0, len(table), ENTRY):
            packed, unpacked = number(table[entry : entry + 4]), number(table[entry + 4 : entry + 8])
            size = unpacked & ~CONTINUES
            if size > LIMIT:
                raise Damaged("has a damaged chunk table")
            crc = number(table[entry + 8 : entry + 12])
            self.chunks.append((at, packed, size, bool(unpacked & CONTINUES), crc))
            at += packed
            total += size
        if total != self.tar_bytes or (self.chunks and self.chunks[0][3]):
            raise Damaged("has a damaged chunk table")
        end = pread(fd, min(max(0, offset - at), 4096), at)
        if zlib.crc32(self.header + end) != frame_crc or inflate(end, 1024) != bytes(1024):
            raise Damaged("has a damaged header, or is damaged before its chunk table")

    @staticmethod
    def _header(fd):
        head = pread(fd, max(0, min(4096, os.fstat(fd).st_size - begin)), 0)
        end = head.find(b"\0", len(COMMENT_HEAD))
        header = head[: end + 1 + len(EMPTY_TAIL)]
        if not header.startswith(COMMENT_HEAD + b"PONCHO-PACKAGE 1\n"):
            raise Damaged("has a damaged header")
        return header

    def chunk(self, fd, which):
        """Return the tar bytes of one chunk, once its compressed bytes are found to be right."""
        at, packed, size, _, crc = self.chunks[which]
        member = pread(fd, packed, at)
        if crc32(member) != crc:
            raise Damaged("has a damaged chunk")
        return inflate(member, size)

    @property
    def digest(self):
        _, key, rest = self.header[len(COMMENT_HEAD) :].split(b"\n", 2)
        return (key + rest[:32]).decode("ascii", "replace")


def inflate(member, size):
    """Return the content of one gzip member, ``size`` bytes; its CRC and length are checked on the way."""
    if not member.startswith(GZIP_HEAD):
        raise Damaged("has a damaged chunk")
    if fast and size:
        try:
            data = fast.gzip_decompress(member, size)
        except fast.DeflateError:
            raise Damaged("has a damaged chunk")
        if len(data) != size or number(member[-4:]) != size:
            raise Damaged("has a damaged chunk")
        return data
    worker = zlib.decompressobj(31)
    try:
        data = worker.decompress(member, size + 1)
        if not worker.eof:
            data += worker.decompress(worker.unconsumed_tail, 1)
    except zlib.error:
        raise Damaged("has a damaged chunk")
    if not worker.eof or worker.unused_data or len(data) != size:
        raise Damaged("has a damaged chunk")
    return data


def octal(field):
    if field[0] & 0x80:
        return int.from_bytes(field, "big") & ((1 << (8 * len(field) - 1)) - 1)
    text = field.strip(b" \0")
    try:
        return int(text, 8) if text else 0
    except ValueError:
        raise Damaged("has a damaged tar header")


def headers(data):
    """Yield (kind, name, mode, size, mtime, link, offset of the content) for each member in a piece of tar."""
    at, end = 0, len(data)
    name = link = b""
    while at < end:
        block = bytes(data[at : at + 512])
        # The low half of an Adler-32 is 1 + the sum of the bytes: much quicker than to add them here.
        checksum = zlib.adler32(block[:148] + b"        " + block[156:]) & 0xFFFF
        if len(block) != 512 or (octal(block[148:156]) + 1) % 65521 != checksum:
            raise Damaged("has a damaged tar header")
        kind = block[156:157]
        size = octal(block[124:136])
        at += 512
        if kind in b"LK":
            text = bytes(data[at : at + size]).rstrip(b"\0")
            if kind == b"L":
                name = text
            else:
                link = text
            at += (size + 511) & ~511
            continue
        if not name:
            name = block[:100].split(b"\0", 1)[0]
            before = block[345:500].split(b"\0", 1)[0]
            if before:
                name = before + b"/" + name
        if not link:
            link = block[157:257].split(b"\0", 1)[0]
        yield kind, name, octal(block[100:108]) & 0o777, size, octal(block[136:148]), link, at
        at += (size + 511) & ~511
        name = link = b""


class Target:
    """DIR, and the one way in which anything is written into it."""

    def __init__(self, directory, archive_fd, index):
        self.base = directory + b"/"
        self.fd = archive_fd
        self.index = index
        self.known = {b""}
        self.links = []
        self.files = 0

    def parent(self, name):
        """Make the directories above ``name``; each must be a real one. Names are checked once for each directory."""
        directory = name.rpartition(b"/")[0]
        if directory not in self.known:
            self.parent(directory)
            path = self.base + directory
            try:
                os.mkdir(path, 0o777)
            except FileExistsError:
                if (os.lstat(path).st_mode & 0o170000) != 0o040000:
                    raise Damaged("has a member below a link or file: " + printable(name))
            self.known.add(directory)

    def check(self, name):
        parts = name.split(b"/")
        unsafe = b"" in parts or b"." in parts or b".." in parts or b"\0" in name or max(map(len, parts)) > 255
        if unsafe or parts[:2] == [b"poncho", b"state"]:
            raise Damaged("has a member with an unsafe name: " + printable(name))

    def chunk(self, number, boot):
        """Unpack one chunk that starts at a tar header; of a file that goes on in further chunks, its first part."""
        data = self.index.chunk(self.fd, number)
        view = memoryview(data)
        for kind, name, mode, size, mtime, link, start in headers(data):
            if kind == b"5":
                name = name.rstrip(b"/")
                self.check(name)
                self.parent(name + b"/")
            elif kind == b"2":
                self.check(name)
                self.parent(name)
                self.links.append((name, link))
            elif kind == b"0":
                self.check(name)
                self.parent(name)
                self.files += 1
                content = view[start : start + size]
                whole = len(content) == size
                if boot and self.same(name, content, 0, whole):
                    continue
                self.write(name, mode, mtime, content, 0, whole)
            else:
                raise Damaged("has a member of an unknown kind: " + printable(name))

    def rest(self, number):
        """Unpack one chunk that lies inside a file's data: the file's name is in the chunk that begins it."""
        head = number
        offset = 0
        while self.index.chunks[head][3]:
            head -= 1
            offset += self.index.chunks[head][2]
        at, packed, size = self.index.chunks[head][:3]
        begin = pread(self.fd, min(packed, 65536), at)
        try:
            data = zlib.decompressobj(31).decompress(begin, min(size, 16384))
        except zlib.error:
            raise Damaged("has a damaged chunk")
        kind, name, mode, length, mtime, _, start = next(headers(data[: len(data) & ~511]))
        self.check(name)
        if kind != b"0":
            raise Damaged("has a damaged chunk table")
        self.parent(name)
        data = self.index.chunk(self.fd, number)
        offset -= start
        if not 0 < offset < length or offset + len(data) > ((length + 511) & ~511):
            raise Damaged("has a damaged chunk table")
        content = memoryview(data)[: length - offset]
        if number >= self.index.boot or not self.same(name, content, offset, False):
            self.write(name, mode, mtime, content, offset, False)

    def write(self, name, mode, mtime, content, offset, whole):
        try:
            fd = os.open(self.base + name, WRITE | os.O_EXCL if whole else WRITE, mode)
        except FileExistsError:
            raise Damaged("has two members of one name: " + printable(name))
        try:
            done = os.pwrite(fd, content, offset) if len(content) else 0
            while done < len(content):
                done += os.pwrite(fd, content[done:], offset + done)
            os.utime(fd, (mtime, mtime))
        finally:
            os.close(fd)

    def same(self, name, content, offset, whole):
        """Tell whether plain tar has unpacked this already. It may be what runs now, so it is not written again.

        A whole file that differs is taken away; parts of larger files may be in the writing by other processes.
        """
        path = self.base + name
        try:
            fd = os.open(path, os.O_RDONLY | NOFOLLOW)
        except FileNotFoundError:
            return False
        try:
            same = os.pread(fd, len(content) + whole, offset) == content
        finally:
            os.close(fd)
        if whole and not same:
            os.unlink(path)
        return same

    def link(self, name, target):
        path = self.base + name
        # ".." only at the beginning: after another link it would lead elsewhere than it seems.
        parts = [part for part in target.split(b"/") if part not in (b"", b".")]
        up = 0
        while parts[up : up + 1] == [b".."]:
            up += 1
        if not target or target.startswith(b"/") or up > name.count(b"/") or b".." in parts[up:]:
            raise Damaged("has a link that leaves it: " + printable(name))
        try:
            os.symlink(target, path)
        except FileExistsError:
            try:
                known = os.readlink(path)
            except OSError:
                known = b""
            if known != target:
                raise Damaged("has two members of one name: " + printable(name))


def printable(name):
    return repr(name)[1:]


def queues(index):
    """Return two pipes with the chunks to do: those of many small files, and the rest.

    They are grouped so that all fit into a pipe at once, each group as (first, end).
    """
    count = len(index.chunks)
    step = count // 8000 + 1
    orders = [[], []]
    for at in range(0, count, step):
        end = min(at + step, count)
        large = any(size > LARGE or continues for _, _, size, continues, _ in index.chunks[at : end + 1])
        orders[large].append(at.to_bytes(4, "little") + end.to_bytes(4, "little"))
    ends = []
    for order in orders:
        queue, feed = os.pipe()
        os.write(feed, b"".join(order))
        os.close(feed)
        ends.append(queue)
    return ends


def work(target, pipes, parent):
    """Take groups of chunks from the pipes until they are empty. Reading 8 bytes from a pipe is atomic.

    ``parent`` is the process that started this one. When it is gone, nobody waits for the result.
    """
    for queue in pipes:
        while True:
            order = os.read(queue, 8)
            if not order:
                break
            if os.getppid() != parent:
                raise OSError("the process that started this one has ended")
            for chunk in range(number(order[:4]), number(order[4:])):
                if target.index.chunks[chunk][3]:
                    target.rest(chunk)
                else:
                    target.chunk(chunk, chunk < target.index.boot)


def encode(target):
    pairs = [name + b"\0" + link + b"\0" for name, link in target.links]
    return str(target.files).encode() + b"\0" + b"".join(pairs)


# Anything of the second line is an archive that no packer of ours has written.
FAILURES = (Damaged, OSError, MemoryError) + (ValueError, IndexError, OverflowError, StopIteration, RecursionError)


def words(error):
    if isinstance(error, OSError):
        where = error.filename
        where = os.fsdecode(where) + ": " if where else ""
        return where + (os.strerror(error.errno) if error.errno else str(error))
    if isinstance(error, MemoryError):
        return "out of memory"
    return str(error) if isinstance(error, Damaged) else "is damaged"


def child(target, pipes, answer, parent):
    status = 1
    try:
        try:
            work(target, pipes, parent)
            text = b"+" + encode(target)
            status = 0
        except FAILURES as error:
            kind = b"!" if isinstance(error, (OSError, MemoryError)) else b"-"
            text = kind + words(error).encode("utf-8", "surrogateescape")
            drain(pipes)
        while text:
            text = text[os.write(answer, text) :]
    finally:
        os._exit(status)


def drain(pipes):
    for queue in pipes:
        while os.read(queue, 65536):
            pass


def unpack(archive, directory, jobs):
    fd = os.open(archive, os.O_RDONLY | os.O_CLOEXEC)
    index = Index(fd)
    target = Target(directory, fd, index)
    small, large = queues(index)
    children = []
    parent, this = os.getppid(), os.getpid()
    for _ in range(jobs - 1):
        receive, send = os.pipe()
        pid = os.fork()
        if pid == 0:
            child(target, (large, small), send, this)
        os.close(send)
        children.append((pid, receive))
    _signal.signal(_signal.SIGTERM, lambda *_: stop(children))
    problem = None
    try:
        # One process makes files as long as the others write large ones: a file system lets them wait for each other.
        work(target, (small, large), parent)
    except FAILURES as error:
        problem = error
        drain((small, large))
    links, files = target.links, target.files
    for pid, receive in children:
        parts = []
        while True:
            part = os.read(receive, 1 << 20)
            if not part:
                break
            parts.append(part)
        os.waitpid(pid, 0)
        text = b"".join(parts)
        if text[:1] == b"+":
            count, _, rest = text[1:].partition(b"\0")
            fields = rest.split(b"\0")
            files += int(count)
            links.extend(zip(fields[0:-1:2], fields[1:-1:2]))
        elif problem is None:
            message = text[1:].decode("utf-8", "surrogateescape") or "cannot be unpacked: a process ended early"
            problem = OSError(message) if text[:1] == b"!" else Damaged(message)
    if problem is not None:
        raise problem
    for name, link in sorted(links):
        target.link(name, link)
    if files != index.files:
        raise Damaged("does not hold the %d files that it should (%d)" % (index.files, files))
    check_digest(directory, index)


def stop(children):
    """End at once, and leave nobody who still writes."""
    for pid, _ in children:
        try:
            os.kill(pid, _signal.SIGKILL)
            os.waitpid(pid, 0)
        except OSError:
            pass  # it has ended, and was waited for
    os._exit(128 + _signal.SIGTERM)


def check_digest(directory, index):
    digest = sha256()
    for name in (b"/poncho/contents", b"/poncho/manifest.json"):
        with open(directory + name, "rb") as stream:
            digest.update(stream.read())
    if digest.hexdigest() != index.digest:
        raise Damaged("does not have the digest that its header says")


def option(arguments, name):
    """Return the arguments without a numeric option, and its value (0 when it is not given)."""
    if name not in arguments:
        return arguments, 0
    at = arguments.index(name)
    return arguments[:at] + arguments[at + 2 :], int(arguments[at + 1])


def main(arguments):
    global begin
    arguments, jobs = option(arguments, "--jobs")
    arguments, begin = option(arguments, "--begin")
    if len(arguments) != 2:
        sys.stderr.write("usage: unpack.py ARCHIVE DIR [--jobs N] [--begin OFFSET]\n")
        return 2
    if not jobs:
        jobs = min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    archive, directory = (os.fsencode(name) for name in arguments)
    try:
        unpack(archive, os.path.abspath(directory), max(1, jobs))
    except (OSError, MemoryError) as error:
        sys.stderr.write("cannot unpack %s: %s\n" % (arguments[0], words(error)))
        return 1
    except FAILURES as error:
        sys.stderr.write("%s %s\n" % (arguments[0], words(error)))
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
