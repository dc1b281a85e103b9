//! One container.

use std::net::Ipv4Addr;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::docker::{docker, docker_now};
use super::{Network, Rule, rules};

/// What a container is made of.
#[derive(Debug, Clone, Default)]
pub struct Spec {
    /// The image.
    pub image: String,
    /// More options of `docker create`.
    pub options: Vec<String>,
    /// What runs in it, if not what the image says.
    pub command: Vec<String>,
    /// Another name in the network.
    pub alias: Option<String>,
}

/// A container in a network. Removed when dropped.
#[derive(Debug)]
pub struct Container {
    name: String,
    alias: Option<String>,
    network: Arc<Network>,
    address: Mutex<Ipv4Addr>,
}

impl Container {
    /// Makes one; it does not run yet.
    ///
    /// # Errors
    /// When Docker cannot.
    pub async fn create(network: &Arc<Network>, base: &str, spec: Spec) -> Result<Self> {
        let name = format!("{}-{base}", network.name());
        let address = network.address()?;
        let mut args: Vec<String> = ["create", "--name", &name, "--network", network.name()]
            .into_iter()
            .map(ToOwned::to_owned)
            .collect();
        args.extend(["--ip".to_owned(), address.to_string()]);
        // Nobody outside: a name that is not known is known not to be at once.
        args.extend(["--dns".to_owned(), "127.0.0.1".to_owned()]);
        if let Some(alias) = &spec.alias {
            args.extend(["--network-alias".to_owned(), alias.clone()]);
        }
        args.extend(spec.options);
        args.push(spec.image);
        args.extend(spec.command);
        docker(args).await?;
        let address = Mutex::new(address);
        Ok(Self { name, alias: spec.alias, network: Arc::clone(network), address })
    }

    /// Its name, as `docker` knows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address in the network.
    pub fn address(&self) -> Ipv4Addr {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts it.
    ///
    /// # Errors
    /// When Docker cannot.
    pub async fn start(&self) -> Result<()> {
        docker(["start", &self.name]).await.map(drop)
    }

    /// Ends all that runs in it: SIGKILL.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn kill9(&self) -> Result<()> {
        docker(["kill", &self.name]).await?;
        docker(["wait", &self.name]).await.map(drop)
    }

    /// Freezes all that runs in it; its sockets stay open.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn pause(&self) -> Result<()> {
        docker(["pause", &self.name]).await.map(drop)
    }

    /// Lets a frozen one go on.
    ///
    /// # Errors
    /// When it is not frozen.
    pub async fn unpause(&self) -> Result<()> {
        docker(["unpause", &self.name]).await.map(drop)
    }

    /// Whether it runs.
    ///
    /// # Errors
    /// When Docker cannot tell.
    pub async fn is_running(&self) -> Result<bool> {
        Ok(self.inspect("{{.State.Running}}").await? == "true")
    }

    /// What a program prints that is run in it.
    ///
    /// # Errors
    /// When it fails.
    pub async fn exec(&self, program: &[&str]) -> Result<String> {
        docker(["exec", &self.name].into_iter().chain(program.iter().copied())).await
    }

    /// Gives a container that does not run another address.
    ///
    /// # Errors
    /// When Docker cannot.
    pub async fn move_away(&self) -> Result<()> {
        let address = self.network.address()?;
        docker(["network", "disconnect", self.network.name(), &self.name]).await?;
        let address_text = address.to_string();
        let mut args = vec!["network", "connect", "--ip", &address_text];
        args.extend(self.alias.iter().flat_map(|alias| ["--alias", alias]));
        args.extend([self.network.name(), &self.name]);
        docker(args).await?;
        *self.address.lock().unwrap_or_else(PoisonError::into_inner) = address;
        Ok(())
    }

    /// What it has printed last, both streams.
    pub async fn logs(&self) -> String {
        let mut logs = Command::new("docker");
        logs.args(["logs", "--timestamps", "--tail", "300", &self.name]).stdin(Stdio::null());
        match logs.kill_on_drop(true).output().await {
            Ok(output) => {
                let text = [output.stdout, output.stderr].concat();
                String::from_utf8_lossy(&text).into_owned()
            }
            Err(error) => error.to_string(),
        }
    }

    /// Lets through only what these rules let through, and forgets earlier ones. Rules end with the container's run.
    ///
    /// # Errors
    /// When `nsenter` or `nft` is missing or may not do that.
    pub async fn filter(&self, rules: &[Rule]) -> Result<()> {
        self.in_network(&["nft", "-f", "-"], &rules::table(rules)).await.map(drop)
    }

    /// Slows down all that it sends: by `tc netem` where the kernel has that, else by a narrow line with a long queue.
    ///
    /// # Errors
    /// When `nsenter` or `tc` is missing or may not do that.
    pub async fn slow(&self) -> Result<&'static str> {
        let device = "tc qdisc replace dev eth0 root";
        let netem = format!("{device} netem delay 150ms 50ms");
        let words: Vec<&str> = netem.split(' ').collect();
        if self.in_network(&words, "").await.is_ok() {
            return Ok("150 ± 50 ms late (netem)");
        }
        let narrow = format!("{device} tbf rate 512kbit burst 8kb latency 500ms");
        let words: Vec<&str> = narrow.split(' ').collect();
        self.in_network(&words, "").await?;
        Ok("512 kbit/s and a queue of half a second (tbf; this kernel has no netem)")
    }

    /// Undoes [`Container::slow`].
    ///
    /// # Errors
    /// As there.
    pub async fn fast(&self) -> Result<()> {
        let words = ["tc", "qdisc", "del", "dev", "eth0", "root"];
        self.in_network(&words, "").await.map(drop)
    }

    /// Runs a program of this machine in the container's network.
    async fn in_network(&self, program: &[&str], input: &str) -> Result<String> {
        let pid = self.inspect("{{.State.Pid}}").await?;
        ensure!(pid != "0", "{} does not run", self.name);
        let mut command = Command::new("nsenter");
        command.args(["--target", &pid, "--net"]).args(program).kill_on_drop(true);
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("nsenter could not be started")?;
        let mut stdin = child.stdin.take().context("no stdin")?;
        stdin.write_all(input.as_bytes()).await?;
        drop(stdin);
        let output = child.wait_with_output().await?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{program:?} in {}: {}\n{input}", self.name, said.trim());
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    async fn inspect(&self, format: &str) -> Result<String> {
        docker(["inspect", "--format", format, &self.name]).await
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        docker_now(&["rm", "--force", "--volumes", &self.name]);
    }
}
