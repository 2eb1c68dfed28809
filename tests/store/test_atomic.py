"""What is published is complete; what failed leaves nothing."""

import os
import stat
import subprocess
import sys
import textwrap
import threading

import pytest

from poncho.errors import BuildError, StoreError
from poncho.store import BuilderCache, atomic_directory, atomic_file, exclusive, remove_tree


def test_file_appears_whole_and_only_at_the_end(tmp_path):
    target = tmp_path / "out"
    with atomic_file(target) as private:
        private.write_text("half")
        assert not target.exists()
        private.write_text("whole")
    assert target.read_text() == "whole"
    assert os.listdir(tmp_path) == ["out"]


def test_failure_leaves_no_file_and_keeps_the_old_one(tmp_path):
    target = tmp_path / "out"
    target.write_text("old")

    def write_and_fail():
        with atomic_file(target) as private:
            private.write_text("new")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_and_fail()
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["out"]


def test_file_mode_follows_the_umask(tmp_path):
    old = os.umask(0o027)
    try:
        with atomic_file(tmp_path / "out") as private:
            private.write_text("x")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o640


def test_missing_directory_is_one_line_with_what_to_do(tmp_path):
    with pytest.raises(StoreError) as caught, atomic_file(tmp_path / "no" / "out"):
        pass
    assert "no such directory" in caught.value.message
    assert "mkdir -p" in caught.value.hint


def test_full_disk_is_named():
    with pytest.raises(BuildError, match="no space left"), atomic_file_on_full_device():
        pass


def atomic_file_on_full_device():
    from contextlib import contextmanager
    from pathlib import Path
    from tempfile import mkdtemp

    @contextmanager
    def full():
        with atomic_file(Path(mkdtemp()) / "out") as private:
            with open("/dev/full", "wb", buffering=0) as device:
                device.write(b"x")
            yield private

    return full()


def test_directory_appears_whole_and_a_second_builder_uses_it(tmp_path):
    target = tmp_path / "deep" / "env"
    with atomic_directory(target) as private:
        assert private is not None
        (private / "a").write_text("1")
        assert not target.exists()
    with atomic_directory(target) as private:
        assert private is None
    assert (target / "a").read_text() == "1"


def test_loser_of_a_race_uses_the_winners_directory(tmp_path):
    target, barrier, published = tmp_path / "env", threading.Barrier(8), []

    def build(number):
        with atomic_directory(target) as private:
            barrier.wait()
            if private is not None:
                (private / "by").write_text(str(number))
        published.append((target / "by").read_text())

    threads = [threading.Thread(target=build, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(published)) == 1
    assert os.listdir(tmp_path) == ["env"]


def test_killed_builder_leaves_no_directory_that_anyone_accepts(tmp_path):
    code = f"""
        import os, signal
        from pathlib import Path
        from poncho.store import atomic_directory
        with atomic_directory(Path({str(tmp_path / "env")!r})) as private:
            (private / "half").write_text("x")
            os.kill(os.getpid(), signal.SIGKILL)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False, cwd=os.getcwd())
    assert not (tmp_path / "env").exists()
    with atomic_directory(tmp_path / "env") as private:
        assert private is not None
    assert os.listdir(tmp_path / "env") == []


def test_read_only_trees_are_removed(tmp_path):
    deep = tmp_path / "tree" / "a" / "b"
    deep.mkdir(parents=True)
    (deep / "file").write_text("x")
    os.chmod(deep, 0o500)
    os.chmod(tmp_path / "tree" / "a", 0o500)
    remove_tree(tmp_path / "tree")
    assert not (tmp_path / "tree").exists()


def test_trees_are_removed_that_another_process_is_removing(tmp_path, monkeypatch):
    tree = tmp_path / "tree"
    (tree / "a" / "b").mkdir(parents=True)
    opened, removed = os.open, os.rmdir

    def gone_just_before(path, *arguments, **options):
        if str(path).endswith("a") and (tree / "a").exists():
            (tree / "a" / "b").rmdir()
            removed(tree / "a")
        return opened(path, *arguments, **options)

    def filled_just_before(path, *arguments, **options):
        if os.path.basename(path) == "tree" and not filled:
            filled.append(tree / ".gone-by-another")
            filled[0].mkdir()
        return removed(path, *arguments, **options)

    filled = []
    monkeypatch.setattr(os, "open", gone_just_before)
    monkeypatch.setattr(os, "rmdir", filled_just_before)
    remove_tree(tree)
    assert filled
    assert not tree.exists()


def test_scratch_is_inside_the_cache_and_goes_away(tmp_path):
    cache = BuilderCache(tmp_path / "cache")
    with cache.scratch("build") as work:
        (work / "x").write_text("x")
        assert tmp_path / "cache" in work.parents
    assert not work.exists()


def test_cache_directory_is_named_by_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("PONCHO_CACHE_DIR", str(tmp_path / "here"))
    assert BuilderCache.default().root == tmp_path / "here"


def test_lock_that_is_held_is_named_with_its_hint(tmp_path):
    code = f"""
        import sys
        from pathlib import Path
        from poncho.store import exclusive
        with exclusive(Path({str(tmp_path / "lock")!r})):
            print("held", flush=True)
            sys.stdin.read()
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StoreError, match="locked by another process"), exclusive(tmp_path / "lock", timeout=0.1):
            pass
        holder.stdin.close()
    with exclusive(tmp_path / "lock", timeout=1):
        pass


def test_a_pipe_a_device_and_a_stream_are_never_replaced_by_a_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "stdout").symlink_to("/proc/self/fd/1")
    (tmp_path / "null").symlink_to("/dev/null")
    for name, what in (("pipe", "pipe"), ("stdout", "stream"), ("null", "device")):
        with pytest.raises(StoreError, match=f"is a {what}, not a file"), atomic_file(tmp_path / name):
            pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["null", "pipe", "stdout"]
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
