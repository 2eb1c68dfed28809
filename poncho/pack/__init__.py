"""Prefix to package: find what depends on the place, take out what must not travel, compress, and write it whole."""

from __future__ import annotations

import errno
import gc
import hashlib
import os
import zlib
from collections import ChainMap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from poncho._types import Event, Reporter, silent
from poncho._words import counted
from poncho.errors import BuildError
from poncho.pack import activation, layout, manifest, recordfile, relocation, scrub, selfextract, squashfs
from poncho.pack.buffers import Buffers
from poncho.pack.caches import copying_blocks, open_caches
from poncho.pack.compress import compressor, parts_compressor
from poncho.pack.copier import Copier
from poncho.pack.image import ImageSink
from poncho.pack.layout import Format
from poncho.pack.model import Entry, Findings, Member, Origin, Overlay, PackedPackage, PackOptions, Trimmed
from poncho.pack.ownership import OWNERS, ownership
from poncho.pack.plan import Plan, added_members, check_variables, made_entry, make_plan, spellings
from poncho.pack.reading import read_whole
from poncho.pack.sink import Press, Sink
from poncho.pack.standing import check_standing
from poncho.pack.transform import Transformer, without_credentials
from poncho.pack.tree import Tree, new_directory, settle
from poncho.pack.writer import Writer
from poncho.store import BuilderCache, atomic_file
from poncho.store.atomic import disk_full

__all__ = ["Format", "Overlay", "PackOptions", "PackedPackage", "Trimmed", "check_tools", "pack"]

_NAMED = 5


def pack(
    prefix: Path,
    output: Path,
    *,
    overlay: Overlay | None = None,
    data: Path | None = None,
    variables: Mapping[str, str] = MappingProxyType({}),
    spec_text: str,
    lock_text: str,
    options: PackOptions | None = None,
    cache: BuilderCache | None = None,
    origin: Origin = "lasting",
    reporter: Reporter = silent,
) -> PackedPackage:
    """Pack the environment in ``prefix`` into ``output``, which appears whole or not at all: a file, or a new directory.

    ``overlay`` holds files to pack over the prefix's own; ``data`` is a directory that becomes ``poncho/data``;
    ``variables`` maps names of environment variables to paths relative to the package's root; ``spec_text``
    and ``lock_text`` are JSON. With ``cache``, what did not change since an earlier package is neither read nor compressed
    again, and the bytes are the same; ``origin`` says how the prefix came about. The prefix is only read. The format is
    described in ``docs/format.md``. Raises BuildError for an environment that cannot be packed (named files, editable
    installs), a full disk, a bad variable; StoreError when the output's directory is missing or cannot be written.
    """
    options = (options or PackOptions()).for_output(output.name)
    with _without_collector(), copying_blocks(cache, options) as copier:
        return _pack(
            prefix,
            output,
            overlay,
            data,
            variables,
            spec_text,
            lock_text,
            options,
            cache,
            copier,
            origin,
            reporter,
        )


@contextmanager
def _without_collector() -> Iterator[None]:
    """Stop the collector of cycles: packing makes a hundred thousand objects and no cycles, and it looks at all of them."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _pack(
    prefix: Path,
    output: Path,
    overlay: Overlay | None,
    data: Path | None,
    variables: Mapping[str, str],
    spec_text: str,
    lock_text: str,
    options: PackOptions,
    cache: BuilderCache | None,
    copier: Copier | None,
    origin: Origin,
    reporter: Reporter,
) -> PackedPackage:
    form = options.format or "tar.gz"
    check_tools(options)
    if not prefix.is_dir():
        raise BuildError(f"{prefix}: no such directory", hint="give the directory of an environment")
    epoch = options.mtime()
    check_variables(prefix, data, variables)
    reporter(Event("start", "pack", f"packing {output.name}"))
    plan = make_plan(prefix, output, data, options, overlay)
    conda, warnings = activation.conda_variables(prefix)
    env = activation.env_sh(conda, variables, _activation_scripts(plan), plan.prefixes)
    added = added_members(without_credentials(spec_text), without_credentials(lock_text), env)
    check_standing(plan.found, plan.directories, added)
    fresh = [*(() if origin == "lasting" else spellings(prefix, ())), *(spellings(overlay.root, ()) if overlay else ())]
    buffers = Buffers()
    caches = open_caches(cache, plan, options, buffers, epoch=epoch, fresh=fresh, origin=origin)

    def write(stream: int | None, sink: Sink) -> tuple[Writer, str, layout.Facts]:
        writer = Writer(
            stream,
            sink,
            Transformer([os.fsencode(prefix) for prefix in plan.prefixes], plan.pythons),
            buffers=buffers,
            known=caches.known if caches else None,
            copier=copier if caches else None,
            epoch=epoch,
            threads=options.workers(),
            total=sum(entry.size for entry in plan.entries),
            reporter=reporter,
        )
        try:
            return writer, *_write(writer, plan, added, variables, options, epoch)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise disk_full(output, error, needed=writer.expected_bytes()) from error
            raise
        finally:
            writer.close()

    if form == "dir":
        with new_directory(output) as hidden:
            writer, digest, facts = write(None, Tree(hidden, epoch))
        settle(output)
        packed = facts.bytes
    elif form == "squashfs":
        with atomic_file(output) as hidden:
            with squashfs.ImageFile(hidden, options, epoch) as image:
                writer, digest, facts = write(image.stream, ImageSink(plan.pythons, epoch))
            squashfs.write_header(hidden, digest, facts)
            packed = hidden.stat().st_size
    else:
        press = Press(parts_compressor(form, options.level), caches.blocks if caches else None)
        mode = 0o755 if form == "sh" else 0o644
        with atomic_file(output, mode=mode) as hidden, hidden.open("r+b", buffering=0) as stream:
            if copier is not None:
                copier.open(hidden)
            stream.write(_script(form, added, "0" * 64, layout.Facts("", "", 0, 0, 0)))
            writer, digest, facts = write(stream.fileno(), press)
            os.pwrite(stream.fileno(), _script(form, added, digest, facts) + layout.header(form, digest, facts), 0)
            packed = os.fstat(stream.fileno()).st_size
    warnings = [*plan.warnings, *warnings, *_leaks(writer.findings), *writer.findings.warnings]
    for warning in warnings:
        reporter(Event("warning", "pack", warning))
    reporter(Event("done", "pack", f"{output.name}: {counted(facts.files, 'file')}", done=packed, unit="bytes"))
    return PackedPackage(output, digest, facts.files, facts.bytes, packed, tuple(warnings), plan.trimmed)


def check_tools(options: PackOptions) -> None:
    """Raise BuildError when this machine lacks what writes the format, before any work is done."""
    if options.format == "squashfs":
        squashfs.check_tool()


def _script(form: Format, added: list[Entry], digest: str, facts: layout.Facts) -> bytes:
    """Return what stands before the archive."""
    if form != "sh":
        return b""
    runner = next(entry.data for entry in added if entry.path == "bin/poncho_package_run")
    return selfextract.script(runner or b"", digest, facts)


def _write(
    writer: Writer, plan: Plan, added: list[Entry], variables: Mapping[str, str], options: PackOptions, epoch: int
) -> tuple[str, layout.Facts]:
    """Write everything but the header's final content, which is returned."""
    form = options.format or "tar.gz"
    first = layout.header(form, "0" * 64, layout.Facts("", "", 0, 0, 0))
    writer.write(squashfs.header_member(epoch) if form == "squashfs" else first)
    ours = {entry.path for entry in added}
    own = [entry for entry in plan.entries if entry.path not in ours]
    in_boot = next((at for at, entry in enumerate(own) if entry.group[0] != 0), len(own))
    writer.add(own[:in_boot])
    boot_chunks = writer.outlet.count
    rest = own[in_boot:]
    if form == "squashfs":
        # The scripts are all read when the image is mounted first: together they are few blocks.
        rest.sort(key=lambda entry: not entry.path.startswith("bin/"))
    writer.add(rest)
    writer.settle()
    writer.add(_true_records(plan, writer))
    meta_chunk = writer.outlet.count
    record, templates = relocation.records(writer.members.looked)
    if record:
        added = [*added, made_entry("poncho/relocation", record)]
        added += [made_entry(path, member.text or b"", mode=member.mode) for path, member in templates]
    members = [*writer.members.paths(), *(entry.path for entry in added)]
    added = [*added, made_entry(OWNERS, ownership(members, plan.owners, ours))]
    writer.add(sorted(added, key=lambda entry: entry.path))
    value: dict[str, Any] = manifest.manifest(
        python=plan.boot.version if plan.boot else None,
        packages=plan.owners.packages,
        variables=variables,
        members=writer.members,
        findings=writer.findings,
        epoch=epoch,
    )
    text = manifest.encode(value)
    writer.add([made_entry(manifest.MANIFEST, text)])
    listed = manifest.contents(writer.members.lines())
    writer.add([made_entry(manifest.CONTENTS, listed)])
    totals = writer.members.totals()
    digest = manifest.digest(listed, text)
    writer.flush()
    facts = layout.Facts(
        platform=value["platform"],
        glibc=manifest.version(writer.findings.glibc),
        files=totals["files"],
        bytes=totals["bytes"],
        boot=_boot_bytes(writer, form, boot_chunks),
        cpu=value["requires"]["cpu"] or "",
    )
    end = compressor(form, options.level)(layout.END_OF_ARCHIVE)
    writer.write(end)
    writer.flush()
    if layout.family(form) in ("tar.gz", "tar.zst"):
        frame = layout.header(form, digest, facts) + end
        _write_index(writer, form, frame, facts, boot_chunks, meta_chunk)
    writer.flush()
    return digest, facts


def _write_index(
    writer: Writer, form: layout.Format, frame: bytes, facts: layout.Facts, boot_chunks: int, meta_chunk: int
) -> None:
    extra = layout.extra_member(form)
    parts = layout.encode_table(writer.outlet.chunks)
    footer = layout.Footer(
        table_offset=writer.outlet.position,
        tar_bytes=sum(chunk.size for chunk in writer.outlet.chunks),
        files=facts.files,
        table_parts=len(parts),
        chunks=len(writer.outlet.chunks),
        boot_chunks=boot_chunks,
        meta_chunk=meta_chunk,
        table_crc=zlib.crc32(b"".join(parts)),
        frame_crc=zlib.crc32(frame),
    )
    for part in parts:
        writer.write(extra(b"PI", part))
    writer.write(extra(b"PF", footer.encode()))


def _boot_bytes(writer: Writer, form: layout.Format, boot_chunks: int) -> int:
    # unpack.py reads gzip only: the standard library of the package's Python may have no zstd.
    if layout.family(form) != "tar.gz" or not boot_chunks:
        return 0
    head = len(layout.header(form, "0" * 64, layout.Facts("", "", 0, 0, 0)))
    return head + sum(chunk.packed for chunk in writer.outlet.chunks[:boot_chunks])


def _true_records(plan: Plan, writer: Writer) -> list[Entry]:
    changed = writer.members.changed()
    dropped = plan.dropped | writer.findings.dropped
    compiled = recordfile.compiled_files(writer.members.paths())
    made: dict[str, Entry] = {}
    for entry in plan.records:
        if entry.rule == "record":
            found = entry.data if entry.data is not None else read_whole(entry)
            content = recordfile.update(found, entry.path, changed, dropped, compiled)
            made[entry.path] = Entry(entry.path, None, len(content), entry.mode, data=content, group=entry.group)
    written = {}
    for path, entry in made.items():
        content = entry.data or b""
        written[path] = Member(path, entry.mode, len(content), hashlib.sha256(content).hexdigest())
    members = ChainMap(written, cast("dict[str, Member]", writer.members.by_path()))
    for entry in plan.records:
        if entry.rule == "conda-meta":
            content = recordfile.update_conda(scrub.conda_record(read_whole(entry)), members, compiled)
            # With its source: the text may hold the prefix, and is looked at as the file would be.
            made[entry.path] = Entry(
                entry.path, entry.source, len(content), entry.mode, data=content, group=entry.group
            )
    return [made[entry.path] for entry in plan.records]


def _activation_scripts(plan: Plan) -> list[str]:
    directory = "etc/conda/activate.d/"
    names = (entry.path[len(directory) :] for entry in plan.entries if entry.path.startswith(directory))
    return sorted(name for name in names if name.endswith(".sh") and "/" not in name and "\n" not in name)


def _leaks(findings: Findings) -> list[str]:
    if not findings.leaks:
        return []
    leaks = sorted(set(findings.leaks))
    named = ", ".join(leaks[:_NAMED])
    more = len(leaks) - _NAMED
    return [
        f"the path of the build directory is compiled into {named}"
        + (f" and {more} more files" if more > 0 else "")
        + "; it stays there and is not relocated"
    ]
