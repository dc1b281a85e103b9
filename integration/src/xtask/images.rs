//! The images that docker-compose.yml builds on. Official ones where a registry can be reached; otherwise stand-ins, made of
//! Debian's packages (debootstrap) and this machine's Rust toolchain. A stand-in is named after a hash of all that goes into
//! it, so it is made once.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::host::{self, Tool, say};

/// How long a registry may take to hand out the smallest image.
const PROBE_DEADLINE: Duration = Duration::from_secs(20);
/// The Debian release that the stand-ins are made of.
const SUITE: &str = "bookworm";

/// The variables of docker-compose.yml that choose images, with the defaults written there.
const OFFICIAL: &[(&str, &str)] =
    &[("POSTGRES_IMAGE", "postgres:17-alpine"), ("ELIXIR_IMAGE", "elixir:1.18-otp-27-slim"), RUST];

const RUST: (&str, &str) = ("RUST_IMAGE", "rust:1-slim-bookworm");

/// What to put in the environment of docker-compose.
pub(crate) type Choice = Vec<(&'static str, String)>;

/// `cargo xtask images`.
pub(crate) fn make(stand_in: bool) -> Result<()> {
    ensure_docker()?;
    let choice = if stand_in { stand_ins()? } else { choose()? };
    for (variable, image) in choice {
        println!("{variable}={image}");
    }
    Ok(())
}

/// Fails with what to do when there is no Docker to talk to.
pub(crate) fn ensure_docker() -> Result<()> {
    ensure!(host::find("docker").is_some(), "docker is missing: install Docker Engine");
    host::read(Command::new("docker").arg("info"))
        .map(drop)
        .context("the Docker daemon does not answer (does it run, and may you use it?)")
}

/// Which images to build on: those named in the environment, else the official ones where they are here or can be pulled,
/// else stand-ins.
pub(crate) fn choose() -> Result<Choice> {
    let named: Choice = OFFICIAL
        .iter()
        .filter_map(|(variable, _)| Some((*variable, std::env::var(variable).ok()?)))
        .collect();
    if named.len() == OFFICIAL.len() || OFFICIAL.iter().all(|(_, image)| is_here(image)) {
        return Ok(named);
    }
    if can_pull() {
        return Ok(named);
    }
    let mut choice = stand_ins()?;
    for (variable, image) in &mut choice {
        if let Some((_, wanted)) = named.iter().find(|(name, _)| name == variable) {
            image.clone_from(wanted);
        }
    }
    Ok(choice)
}

/// Which image to build Rust on, by the same rules; `None` is the official one.
pub(crate) fn for_rust() -> Result<Option<String>> {
    if let Ok(named) = std::env::var(RUST.0) {
        return Ok(Some(named));
    }
    if is_here(RUST.1) || can_pull() {
        return Ok(None);
    }
    rust(&debian()?).map(Some)
}

fn can_pull() -> bool {
    let mut pull = Command::new("docker");
    let can = host::succeeds_within(PROBE_DEADLINE, pull.args(["pull", "hello-world"]));
    if !can {
        say("no image can be pulled: building on stand-ins for the official images");
    }
    can
}

fn stand_ins() -> Result<Choice> {
    let debian = debian()?;
    Ok(vec![
        ("POSTGRES_IMAGE", built("postgres", &debian)?),
        ("ELIXIR_IMAGE", built("elixir", &debian)?),
        ("RUST_IMAGE", rust(&debian)?),
    ])
}

/// Debian's base system with this machine's package settings and certificates, so that what it reaches, a container does.
fn debian() -> Result<String> {
    let settings = apt_settings()?;
    let mirror = mirror();
    let certificates = std::fs::read("/etc/ssl/certs/ca-certificates.crt").unwrap_or_default();
    let image = name("debian", &(SUITE, &settings, &mirror, &certificates));
    if is_here(&image) {
        return Ok(image);
    }
    host::provide(&[Tool { program: "debootstrap", package: "debootstrap" }])?;
    say(format!("making {image} (debootstrap {SUITE})"));
    // On the disk rather than in /tmp, which may be small, or mounted nodev.
    let folder = tempfile::Builder::new().prefix("debian").tempdir_in(scratch()?)?;
    let tree = folder.path().join("tree");
    let outcome = bootstrap(&tree, mirror.as_deref(), &settings, &certificates)
        .and_then(|()| import(&tree, &image));
    // Root's files: the temporary folder could not remove them when we are not root.
    host::run(host::root_command("rm")?.arg("-rf").arg(&tree))?;
    outcome.map(|()| image)
}

fn bootstrap(tree: &Path, mirror: Option<&str>, settings: &str, certificates: &[u8]) -> Result<()> {
    let mut command = host::root_command("debootstrap")?;
    command.args(["--variant=minbase", "--include=ca-certificates", SUITE]).arg(tree).args(mirror);
    host::run(command.stdout(Stdio::null()))?;
    write_as_root(&tree.join("etc/apt/apt.conf.d/90host"), settings.as_bytes())?;
    if !certificates.is_empty() {
        write_as_root(&tree.join("etc/ssl/certs/ca-certificates.crt"), certificates)?;
    }
    let mut clean = host::root_command("rm")?;
    clean.arg("-rf");
    for folder in ["usr/share/doc", "usr/share/man", "usr/share/locale"] {
        clean.arg(tree.join(folder));
    }
    clean.args([tree.join("var/lib/apt/lists"), tree.join("var/cache/apt")]);
    host::run(&mut clean)
}

fn import(tree: &Path, image: &str) -> Result<()> {
    let mut tar = host::root_command("tar")?;
    let tar = tar.arg("-C").arg(tree).args(["--one-file-system", "-c", "."]);
    pipe(tar, Command::new("docker").args(["import", "-", image]).stdout(Stdio::null()))
}

/// An image of a folder beside the compose file's, on top of `debian`.
fn built(stand_in: &str, debian: &str) -> Result<String> {
    let folder = folder(stand_in)?;
    let image = name(stand_in, &(debian, contents(&folder)?));
    if !is_here(&image) {
        say(format!("making {image}"));
        host::run(docker_build(&image, debian).arg(folder))?;
    }
    Ok(image)
}

/// This machine's toolchain on top of `debian`.
fn rust(debian: &str) -> Result<String> {
    let root = host::root()?;
    let sysroot =
        host::read(Command::new("rustc").current_dir(&root).args(["--print", "sysroot"]))?;
    let sysroot = PathBuf::from(sysroot.trim());
    ensure!(
        sysroot.join("bin/cargo").is_file() && sysroot != Path::new("/usr"),
        "{} is not a toolchain of rustup's: set RUST_IMAGE to an image with cargo and gcc",
        sysroot.display()
    );
    let version = host::read(Command::new("rustc").current_dir(&root).arg("-vV"))?;
    let config = cargo_config()?;
    let folder = folder("rust")?;
    let image = name("rust", &(debian, contents(&folder)?, &version, &config));
    if is_here(&image) {
        return Ok(image);
    }
    say(format!("making {image} (a copy of {})", sysroot.display()));
    let cargo_home = tempfile::tempdir_in(scratch()?)?;
    let home = cargo_home.path().join("cargo-home");
    std::fs::create_dir(&home)?;
    std::fs::write(home.join("config.toml"), config)?;
    let mut tar = Command::new("tar");
    tar.arg("-C").arg(&folder).args(["-c", "Dockerfile", "-C"]).arg(cargo_home.path());
    tar.args(["cargo-home", "-C"]).arg(&sysroot).args(["lib", "bin/cargo", "bin/rustc"]);
    pipe(&mut tar, docker_build(&image, debian).arg("-"))?;
    Ok(image)
}

fn docker_build(image: &str, debian: &str) -> Command {
    let mut build = Command::new("docker");
    build.args(["build", "--quiet", "--tag", image]);
    build.args(["--build-arg", &format!("DEBIAN_IMAGE={debian}")]).stdout(Stdio::null());
    build
}

/// Where this machine's cargo fetches from; nothing else of its settings, and no credentials.
fn cargo_config() -> Result<String> {
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")));
    let read = |name| std::fs::read_to_string(home.as_ref()?.join(name)).ok();
    let Some(text) = read("config.toml").or_else(|| read("config")) else {
        return Ok(String::new());
    };
    let mut config: toml::Table = text.parse().context("cargo's config.toml")?;
    config.retain(|table, _| ["source", "registries", "net", "http"].contains(&table));
    for registry in config.get_mut("registries").and_then(toml::Value::as_table_mut).into_iter() {
        for (_, settings) in registry.iter_mut() {
            settings.as_table_mut().map(|settings| settings.remove("token"));
        }
    }
    Ok(config.to_string())
}

/// What apt was told about fetching packages (proxies, dates), as one file of settings.
fn apt_settings() -> Result<String> {
    if host::find("apt-config").is_none() {
        return Ok(String::new());
    }
    let format = ["--no-empty", "--format", "%f \"%v\";%n"];
    let dump = host::read(Command::new("apt-config").arg("dump").args(format).arg("Acquire"))?;
    // What to fetch beside the package lists is the host's own affair.
    let settings = dump.lines().filter(|line| !line.starts_with("Acquire::IndexTargets"));
    Ok(settings.map(|line| format!("{line}\n")).collect())
}

/// The mirror from which this machine takes that release; none when it takes another.
fn mirror() -> Option<String> {
    let format = ["--format", "$(RELEASE) $(COMPONENT) $(REPO_URI)", "Created-By: Packages"];
    let targets = host::read(Command::new("apt-get").arg("indextargets").args(format)).ok()?;
    let wanted = format!("{SUITE} main ");
    targets.lines().find_map(|line| line.strip_prefix(&wanted)).map(ToOwned::to_owned)
}

fn folder(stand_in: &str) -> Result<PathBuf> {
    Ok(host::root()?.join("integration/images").join(stand_in))
}

/// Where large temporary folders go.
fn scratch() -> Result<PathBuf> {
    let target = std::env::current_exe()?;
    let folder = target.parent().context("no target directory")?.join("images");
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

fn contents(folder: &Path) -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        files.push((path.clone(), std::fs::read(&path)?));
    }
    files.sort();
    Ok(files
        .into_iter()
        .map(|(path, bytes)| (path.file_name().unwrap_or_default().into(), bytes))
        .collect())
}

fn name(stand_in: &str, made_of: &impl Hash) -> String {
    let mut hasher = DefaultHasher::new();
    made_of.hash(&mut hasher);
    format!("beamjoin-stand-in/{stand_in}:{:016x}", hasher.finish())
}

fn is_here(image: &str) -> bool {
    let mut inspect = Command::new("docker");
    host::succeeds_within(Duration::from_secs(20), inspect.args(["image", "inspect", image]))
}

fn write_as_root(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut tee = host::root_command("tee")?;
    let mut child = tee.arg(path).stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
    child.stdin.take().context("no stdin")?.write_all(bytes)?;
    ensure!(child.wait()?.success(), "failed to write {}", path.display());
    Ok(())
}

fn pipe(from: &mut Command, to: &mut Command) -> Result<()> {
    let mut source = from.stdout(Stdio::piped()).spawn()?;
    let output = source.stdout.take().context("no stdout")?;
    let outcome = host::run(to.stdin(output));
    let status = source.wait()?;
    outcome?;
    if !status.success() {
        bail!("{} failed: {status}", from.get_program().display());
    }
    Ok(())
}
