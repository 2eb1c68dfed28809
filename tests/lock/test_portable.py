"""The lock that travels names local code and local wheels by their content."""

from poncho.lock.codec import dumps
from poncho.lock.model import Lock, LockedGit, LockedPip
from poncho.lock.portable import portable

SHA = "a" * 64


def test_places_of_the_building_machine_stay_at_home():
    pip = (
        LockedPip("mine", "1.0", "/home/CANARY/mine", sha256=SHA),
        LockedPip("wheel", "2.0", "wheel @ file:///home/CANARY/w.whl", url="file:///home/CANARY/w.whl", sha256=SHA),
        LockedPip("six", "1.16.0", "six==1.16.0", url="https://h.example/six.whl", sha256=SHA),
    )
    git = {"A": LockedGit("/home/CANARY/repository", "b" * 40), "B": LockedGit("https://h.example/r.git", "c" * 40)}
    lock = portable(Lock(platform="linux-64", spec_digest=SHA, pip=pip, git=git))
    assert "CANARY" not in dumps(lock)
    assert [item.requirement for item in lock.pip] == ["./mine", "wheel", "six==1.16.0"]
    assert [item.sha256 for item in lock.pip] == [SHA] * 3
    assert [lock.git[name].remote for name in "AB"] == ["repository", "https://h.example/r.git"]
    assert lock.pip[2].url == "https://h.example/six.whl"
