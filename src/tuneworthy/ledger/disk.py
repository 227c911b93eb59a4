"""Check that a disk is safe for SQLite: network disks are refused, doubtful ones get a warning.

Knows no SQL. Write-ahead logging needs shared memory and locks that network disks do not provide.
"""

from __future__ import annotations

from pathlib import Path

from tuneworthy.core.errors import StoreError

NETWORK = {
    "nfs", "nfs3", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "afpfs", "webdav", "davfs",
    "afs", "ceph", "glusterfs", "lustre", "beegfs", "gpfs", "ocfs2", "ncpfs", "coda",
}  # fmt: skip
NETWORK_FUSE = (
    "sshfs", "s3fs", "gcsfuse", "goofys", "rclone", "davfs", "gluster", "ceph", "blobfuse",
    "curlftpfs", "mountpoint-s3", "juicefs",
)  # fmt: skip
UNRELIABLE = {"9p", "virtiofs", "vboxsf", "drvfs", "prl_fs", "vmhgfs"}
SYNCED = (
    "dropbox", "onedrive", "google drive", "googledrive", "icloud", "com~apple~clouddocs",
    "nextcloud",
)  # fmt: skip


def filesystem(folder: Path) -> str:
    """Return the file system type of a folder (`ext4`, `nfs4`), "" if unknown."""
    import psutil

    try:
        mounts = psutil.disk_partitions(all=True)
    except OSError:
        return ""
    real, best, kind = folder.resolve(), -1, ""
    for mount in mounts:
        point = Path(mount.mountpoint)
        if real.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), str(mount.fstype)
    return kind.lower()


def check_disk(folder: Path) -> str:
    """Return "" for a trusted disk, else a warning; raise StoreError for a network disk."""
    kind = filesystem(folder)
    plain = kind.removeprefix("fuse.")
    if kind in NETWORK or (kind != plain and plain.startswith(NETWORK_FUSE)):
        raise StoreError(
            "the study is on a network disk, where the store could be damaged",
            where=str(folder),
            got=f"file system {kind}",
            fix="copy the folder to a local disk and run there",
            kept="everything: nothing was changed",
        )
    if kind in UNRELIABLE or kind.startswith("fuse"):
        return (
            f"{folder} is on {kind}, whose locks may not hold between machines: "
            "let only one machine write here"
        )
    if any(part.lower().startswith(SYNCED) for part in folder.resolve().parts):
        return f"{folder} is in a synced folder: pause the sync while a run writes there"
    return ""
