//! [`PrivateServer`]: a PostgreSQL of the home's own under `data/pg`, used when no other database is configured.
//!
//! It listens on a unix socket alone, in a folder that only its owner (and root) can enter; that is its authentication.
//! PostgreSQL refuses to run as root: then it runs as `postgres` or `nobody`, and where that user cannot enter the home,
//! the cluster lies in `/var/lib/aifx` with a link under `data/pg`. Not here: schema (`migrate`), connections (`connect`).

use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    os::unix::{
        fs::{DirBuilderExt, MetadataExt, PermissionsExt, symlink},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::Context;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{Db, Failed, Source};
use crate::fault::Fault;

/// The oldest PostgreSQL that aifx runs on.
const OLDEST: u32 = 15;
const DATABASE: &str = "aifx";
/// Where the cluster lies when the server's user cannot enter the home.
const ELSEWHERE: &str = "/var/lib/aifx";

/// The private server of one home.
#[derive(Debug, Clone)]
pub struct PrivateServer {
    folder: PathBuf,
    sockets: PathBuf,
    id: String,
}

/// How the server is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServerStatus {
    /// Whether it answers.
    pub running: bool,
    /// How to reach it, without secrets.
    pub url: String,
    /// Its version, such as `15.18`; null while it does not run.
    pub version: Option<String>,
    /// Where its files are.
    pub folder: PathBuf,
}

/// The user that the server runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Owner {
    uid: u32,
    gid: u32,
}

impl PrivateServer {
    /// The server of a home; nothing is started or made.
    pub fn of(home: &Path) -> PrivateServer {
        let folder = home.join("data").join("pg");
        // Two homes never share a socket; a path of any length fits into the 107 bytes that a socket may have.
        let digest = Sha256::digest(folder.as_os_str().as_encoded_bytes());
        let id: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let sockets = PathBuf::from(format!("/tmp/.aifx-{id}"));
        PrivateServer { folder, sockets, id }
    }

    /// Whether this home has a cluster.
    pub fn exists(&self) -> bool {
        self.cluster().join("PG_VERSION").exists() || self.cluster().is_symlink()
    }

    /// How to connect to it.
    pub fn source(&self) -> Source {
        self.source_of(DATABASE)
    }

    fn source_of(&self, database: &str) -> Source {
        Source::parse(&format!("host={} user=aifx dbname={database}", self.sockets.display()))
            .expect("a path of our own making needs no quotes")
    }

    /// How it is.
    pub fn status(&self) -> ServerStatus {
        let version = Db::connect(&self.source_of("postgres"), "db", Duration::ZERO)
            .and_then(|mut db| db.server_version())
            .ok();
        ServerStatus {
            running: version.is_some(),
            url: self.source().shown().to_owned(),
            version,
            folder: self.folder.clone(),
        }
    }

    /// Makes the cluster if there is none, starts it if it does not run. Safe to do twice, also at once.
    ///
    /// # Errors
    /// Exit 3 when PostgreSQL is not installed or refuses its configuration, 9 when files cannot be made.
    pub fn start(&self) -> anyhow::Result<()> {
        let doing =
            || format!("cannot start the private PostgreSQL under {}", self.folder.display());
        make_passable(&self.folder).with_context(doing)?;
        let lock =
            File::create(self.folder.join("lock")).map_err(Fault::resource).with_context(doing)?;
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive)
            .map_err(Fault::resource)
            .with_context(doing)?;
        if self.status().running {
            return self.create_database();
        }
        let bin = binaries().with_context(doing)?;
        let owner = owner().with_context(doing)?;
        self.make_cluster(&bin, owner).with_context(doing)?;
        self.make_sockets(owner).with_context(doing)?;
        let log = self.real_cluster().with_file_name("log");
        let options = format!(
            "-c listen_addresses='' -c unix_socket_directories={} -c unix_socket_permissions=0700",
            self.sockets.display()
        );
        let started = self.pg(
            &bin,
            owner,
            "pg_ctl",
            &[
                "-D".as_ref(),
                self.real_cluster().as_ref(),
                "-l".as_ref(),
                log.as_ref(),
                "-w".as_ref(),
                "-t".as_ref(),
                "60".as_ref(),
                "-o".as_ref(),
                options.as_ref(),
                "start".as_ref(),
            ],
        );
        started
            .map_err(|error| {
                let last = tail(&log);
                error.context(format!("its log ends: {last}"))
            })
            .with_context(doing)?;
        self.create_database()
    }

    /// Stops it, if it runs; connections are closed.
    ///
    /// # Errors
    /// Exit 3 when it does not stop.
    pub fn stop(&self) -> anyhow::Result<bool> {
        if !self.status().running {
            return Ok(false);
        }
        let doing =
            || format!("cannot stop the private PostgreSQL under {}", self.folder.display());
        let cluster = self.real_cluster();
        let bin = binaries().with_context(doing)?;
        let owner = owner().with_context(doing)?;
        let arguments: [&std::ffi::OsStr; 6] = [
            "-D".as_ref(),
            cluster.as_ref(),
            "-w".as_ref(),
            "-m".as_ref(),
            "fast".as_ref(),
            "stop".as_ref(),
        ];
        self.pg(&bin, owner, "pg_ctl", &arguments).with_context(doing)?;
        Ok(true)
    }

    fn cluster(&self) -> PathBuf {
        self.folder.join("cluster")
    }

    /// The cluster behind the link, where there is one.
    fn real_cluster(&self) -> PathBuf {
        fs::read_link(self.cluster()).unwrap_or_else(|_| self.cluster())
    }

    fn make_cluster(&self, bin: &Path, owner: Option<Owner>) -> anyhow::Result<()> {
        if self.real_cluster().join("PG_VERSION").exists() {
            return Ok(());
        }
        let parent = match owner {
            Some(owner) if !can_enter(owner, &self.folder) => {
                let parent = Path::new(ELSEWHERE).join(&self.id);
                make_passable(&parent)?;
                if !self.cluster().is_symlink() {
                    symlink(parent.join("cluster"), self.cluster())
                        .map_err(|e| at(&self.cluster(), e))?;
                }
                parent
            }
            _ => self.folder.clone(),
        };
        if let Some(owner) = owner {
            chown(&parent, owner)?;
        }
        // What a killed initdb left is no cluster: it has no PG_VERSION, or not the last file that initdb writes.
        let cluster = self.real_cluster();
        let making = parent.join("making");
        let _ = fs::remove_dir_all(&making);
        let arguments: [&std::ffi::OsStr; 7] = [
            "-D".as_ref(),
            making.as_ref(),
            "--auth=trust".as_ref(),
            "--username=aifx".as_ref(),
            "--encoding=UTF8".as_ref(),
            "--locale=C".as_ref(),
            "--no-instructions".as_ref(),
        ];
        self.pg(bin, owner, "initdb", &arguments)?;
        fs::rename(&making, &cluster).map_err(|error| at(&cluster, error))?;
        Ok(())
    }

    fn make_sockets(&self, owner: Option<Owner>) -> anyhow::Result<()> {
        let path = &self.sockets;
        match fs::DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => {
                if let Some(owner) = owner {
                    chown(path, owner)?;
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(at(path, error).into()),
        }
        // In a folder that all may write to, somebody else could have made it first.
        let meta = fs::symlink_metadata(path).map_err(|error| at(path, error))?;
        let mine = owner.map_or_else(|| rustix::process::getuid().as_raw(), |owner| owner.uid);
        if !meta.is_dir() || meta.uid() != mine {
            return Err(Fault::config(format!("{} belongs to somebody else", path.display()))
                .hint("remove it, or set DATABASE_URL to a database of your own")
                .into());
        }
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))
            .map_err(|error| at(path, error))?;
        Ok(())
    }

    fn create_database(&self) -> anyhow::Result<()> {
        let doing = "cannot make the database aifx";
        let mut db = Db::connect(&self.source_of("postgres"), "db", Duration::ZERO)?;
        let there = db
            .client
            .query_opt("SELECT 1 FROM pg_database WHERE datname = $1", &[&DATABASE])
            .failed(doing)?;
        if there.is_none() {
            db.client.batch_execute("CREATE DATABASE aifx").failed(doing)?;
        }
        Ok(())
    }

    /// Runs one of PostgreSQL's programs to its end, as the server's user.
    fn pg(
        &self,
        bin: &Path,
        owner: Option<Owner>,
        program: &str,
        arguments: &[&std::ffi::OsStr],
    ) -> anyhow::Result<()> {
        // A file, not a pipe: the server that pg_ctl leaves behind would hold a pipe open.
        let said = tempfile_in(&std::env::temp_dir()).map_err(Fault::resource)?;
        let clone = || said.try_clone().map_err(Fault::resource);
        let mut command = Command::new(bin.join(program));
        command
            .args(arguments)
            .current_dir("/")
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .stdin(Stdio::null())
            .stdout(clone()?)
            .stderr(clone()?);
        if let Some(owner) = owner {
            command.gid(owner.gid).uid(owner.uid);
        }
        // Ctrl-C at the shell is meant for aifx, not for its server.
        command.process_group(0);
        let status = command
            .status()
            .map_err(|error| Fault::config(format!("{}: {error}", bin.join(program).display())))?;
        if status.success() {
            return Ok(());
        }
        let mut text = String::new();
        let mut said = said;
        let _ = said.seek(SeekFrom::Start(0)).and_then(|_| said.read_to_string(&mut text));
        let text = text.trim().replace('\n', "; ");
        Err(Fault::config(format!("{program} ended with {status}: {text}"))
            .hint("correct that, or set DATABASE_URL to a database of your own")
            .into())
    }
}

/// The newest PostgreSQL's programs.
fn binaries() -> anyhow::Result<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    versions
        .filter_map(|entry| {
            Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path().join("bin")))
        })
        .filter(|(version, bin)| *version >= OLDEST && bin.join("initdb").exists())
        .max()
        .map(|(_, bin)| bin)
        .ok_or_else(|| {
            Fault::config(format!("no PostgreSQL {OLDEST} or later is installed"))
                .hint("scripts/setup.sh installs it, or set DATABASE_URL to a database of your own")
                .into()
        })
}

/// Whom the server runs as, when that is not this process's own user.
fn owner() -> anyhow::Result<Option<Owner>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd").map_err(Fault::config)?;
    ["postgres", "nobody"]
        .into_iter()
        .find_map(|name| {
            users.lines().find_map(|line| {
                let fields: Vec<&str> = line.split(':').collect();
                let owner =
                    Owner { uid: fields.get(2)?.parse().ok()?, gid: fields.get(3)?.parse().ok()? };
                (fields[0] == name && owner.uid != 0).then_some(owner)
            })
        })
        .map(Some)
        .ok_or_else(|| {
            Fault::config(
                "PostgreSQL does not run as root, and there is no user postgres or nobody",
            )
            .hint("run aifx as an ordinary user, or set DATABASE_URL to a database of your own")
            .into()
        })
}

/// Whether a user could enter a folder that root has made for it: every folder above must let it pass.
fn can_enter(owner: Owner, folder: &Path) -> bool {
    let mut check = Command::new("/usr/bin/test");
    let Some(parent) = folder.parent() else { return true };
    check.arg("-x").arg(parent).gid(owner.gid).uid(owner.uid).current_dir("/");
    check.status().is_ok_and(|status| status.success())
}

/// Makes a folder, and those above it that are missing, so that the server's user can pass through.
fn make_passable(folder: &Path) -> anyhow::Result<()> {
    let missing: Vec<&Path> = folder.ancestors().take_while(|path| !path.exists()).collect();
    for path in missing.into_iter().rev() {
        let made = fs::create_dir(path)
            .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o755)));
        match made {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(at(path, error).into());
            }
            _ => {}
        }
    }
    Ok(())
}

fn chown(path: &Path, owner: Owner) -> anyhow::Result<()> {
    std::os::unix::fs::chown(path, Some(owner.uid), Some(owner.gid)).map_err(|e| at(path, e).into())
}

fn at(path: &Path, error: std::io::Error) -> Fault {
    Fault::resource(format!("{}: {error}", path.display()))
}

/// An anonymous file.
fn tempfile_in(folder: &Path) -> rustix::io::Result<File> {
    use rustix::fs::{Mode, OFlags, open};
    open(folder, OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR)
        .map(File::from)
}

fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let mut lines: Vec<&str> = text.lines().rev().take(4).collect();
    lines.reverse();
    lines.join("; ")
}
