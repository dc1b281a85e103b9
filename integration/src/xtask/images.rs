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
/// The Debian release that the stand-ins of docker-compose.yml's images are made of.
const SUITE: &str = "bookworm";
/// Where debootstrap keeps what it knows of each release, and the one to take for a release that is newer than it.
const SCRIPTS: &str = "/usr/share/debootstrap/scripts";
const NEWEST: &str = "sid";

/// The variables of docker-compose.yml that choose images, with the defaults written there.
const OFFICIAL: [(&str, &str); 3] =
    [("POSTGRES_IMAGE", "postgres:17-alpine"), ("ELIXIR_IMAGE", "elixir:1.18-otp-27-slim"), RUST];

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

/// The images of the compose file's services that run servers.
#[derive(Debug)]
pub(crate) struct Images {
    pub(crate) postgres: String,
    pub(crate) elixir: String,
}

/// As [`choose`], for these two, with the official names where nothing else was chosen.
pub(crate) fn choose_servers() -> Result<Images> {
    let [postgres, elixir, _] = OFFICIAL;
    let choice = choose_of(&[postgres, elixir])?;
    let image = |(wanted, official): (&str, &str)| {
        let chosen = choice.iter().find(|(name, _)| *name == wanted);
        chosen.map_or_else(|| official.to_owned(), |(_, image)| image.clone())
    };
    Ok(Images { postgres: image(postgres), elixir: image(elixir) })
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
    choose_of(&OFFICIAL)
}

fn choose_of(wanted: &[(&'static str, &str)]) -> Result<Choice> {
    let named: Choice = wanted
        .iter()
        .filter_map(|(variable, _)| Some((*variable, std::env::var(variable).ok()?)))
        .collect();
    if named.len() == wanted.len() || wanted.iter().all(|(_, image)| is_here(image)) || can_pull() {
        return Ok(named);
    }
    let debian = debian(SUITE)?;
    let mut choice = named;
    for (variable, _) in wanted {
        if choice.iter().all(|(name, _)| name != variable) {
            choice.push((variable, stand_in(variable, &debian)?));
        }
    }
    Ok(choice)
}

/// Which image to build Rust on, by the same rules; `None` is the official one.
pub(crate) fn for_rust() -> Result<Option<String>> {
    Ok(choose_of(&[RUST])?.pop().map(|(_, image)| image))
}

/// An image with every server that the tests need, as that Debian release has them. On Debian's own image where that is here or
/// can be pulled.
pub(crate) fn servers(suite: &str) -> Result<String> {
    ensure_docker()?;
    let official = format!("debian:{suite}-slim");
    let base = if is_here(&official) || can_pull() { official } else { debian(suite)? };
    built("servers", &base)
}

/// Whether there is a registry to pull from.
fn can_pull() -> bool {
    let mut pull = Command::new("docker");
    let can = host::succeeds_within(PROBE_DEADLINE, pull.args(["pull", "hello-world"]));
    if !can {
        say("no image can be pulled: building on stand-ins for the official images");
    }
    can
}

fn stand_ins() -> Result<Choice> {
    let debian = debian(SUITE)?;
    let stand_in = |(variable, _): (&'static str, _)| Ok((variable, stand_in(variable, &debian)?));
    OFFICIAL.into_iter().map(stand_in).collect()
}

fn stand_in(variable: &str, debian: &str) -> Result<String> {
    match variable {
        "POSTGRES_IMAGE" => built("postgres", debian),
        "ELIXIR_IMAGE" => built("elixir", debian),
        _ => rust(debian),
    }
}

/// Debian's base system with this machine's package settings and certificates, so that what it reaches, a container does.
fn debian(suite: &str) -> Result<String> {
    let settings = apt_settings()?;
    let mirror = mirror(suite);
    let certificates = std::fs::read("/etc/ssl/certs/ca-certificates.crt").unwrap_or_default();
    let image = name("debian", &(suite, &settings, &mirror, &certificates));
    if is_here(&image) {
        return Ok(image);
    }
    host::provide(&[Tool { program: "debootstrap", package: "debootstrap" }])?;
    say(format!("making {image} (debootstrap {suite})"));
    // On the disk rather than in /tmp, which may be small, or mounted nodev.
    let folder = tempfile::Builder::new().prefix("debian").tempdir_in(scratch()?)?;
    let tree = folder.path().join("tree");
    let outcome = bootstrap(suite, &tree, mirror.as_deref(), &settings, &certificates)
        .and_then(|()| import(&tree, &image));
    // Root's files: the temporary folder could not remove them when we are not root.
    host::run(host::root_command("rm")?.arg("-rf").arg(&tree))?;
    outcome.map(|()| image)
}

fn bootstrap(
    suite: &str,
    tree: &Path,
    mirror: Option<&str>,
    settings: &str,
    certificates: &[u8],
) -> Result<()> {
    let mut command = host::root_command("debootstrap")?;
    command.args(["--variant=minbase", "--include=ca-certificates", suite]).arg(tree);
    let script = Path::new(SCRIPTS).join(suite);
    // It takes a script only behind a mirror, and knows one itself for the releases that it knows.
    command.args(mirror);
    if mirror.is_some() && !script.exists() {
        command.arg(script.with_file_name(NEWEST));
    }
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

/// The mirror from which this machine takes that release, else the one from which it takes another of Debian's.
fn mirror(suite: &str) -> Option<String> {
    let format =
        ["--format", "$(RELEASE) $(COMPONENT) $(LABEL) $(REPO_URI)", "Created-By: Packages"];
    let targets = host::read(Command::new("apt-get").arg("indextargets").args(format)).ok()?;
    let from = |release: &str| {
        let of_release = |line: &str| match line.split(' ').collect::<Vec<_>>().as_slice() {
            [found, "main", "Debian", uri] if release.is_empty() || *found == release => {
                Some((*uri).to_owned())
            }
            _ => None,
        };
        targets.lines().find_map(of_release)
    };
    from(suite).or_else(|| from(""))
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
