//! Chromium without a screen, driven by its own driver.

use std::process::Stdio;

use anyhow::{Context, Result, bail};
use fantoccini::{Client, ClientBuilder, wd::Capabilities};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use integration::SOON;

/// A browser of its own for one test, with a profile that is removed with it.
pub struct Browser {
    pub client: Client,
    driver: Child,
    _folder: tempfile::TempDir,
}

impl Browser {
    /// Starts one with a page of this size.
    ///
    /// # Errors
    /// When there is no `chromedriver` or `chromium`: `cargo xtask test` installs them.
    pub async fn start(width: u32, height: u32) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .env("HOME", folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("chromedriver could not be started (`cargo xtask test` installs it)")?;
        let port = port_of(&mut driver).await?;
        let profile = format!("--user-data-dir={}", folder.path().join("profile").display());
        // No sandbox: the tests may run as root, and open no page but ours.
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            &profile,
        ];
        // A window is never as narrow as a phone.
        let page = json!({ "width": width, "height": height, "pixelRatio": 1.0 });
        let mut capabilities = Capabilities::new();
        capabilities.insert(
            "goog:chromeOptions".into(),
            json!({ "args": arguments, "mobileEmulation": { "deviceMetrics": page } }),
        );
        let address = format!("http://127.0.0.1:{port}");
        let mut client =
            ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new());
        let client = client.capabilities(capabilities).connect(&address).await;
        Ok(Self { client: client.context("no browser")?, driver, _folder: folder })
    }

    /// What a script of one expression gives.
    pub async fn run(&self, expression: &str) -> Result<serde_json::Value> {
        Ok(self.client.execute(&format!("return {expression}"), Vec::new()).await?)
    }

    /// Ends it in order.
    pub async fn close(mut self) -> Result<()> {
        self.client.clone().close().await?;
        self.driver.kill().await?;
        Ok(())
    }
}

/// `ChromeDriver was started successfully on port 12345.`
async fn port_of(driver: &mut Child) -> Result<u16> {
    let mut lines = BufReader::new(driver.stdout.take().context("no stdout")?).lines();
    let found = timeout(SOON, async {
        while let Some(line) = lines.next_line().await? {
            if let Some(port) = line.split("started successfully on port ").nth(1) {
                return Ok(port.trim_end_matches('.').parse()?);
            }
        }
        bail!("chromedriver ended")
    });
    let port = found.await.context("chromedriver did not start")??;
    // Whatever else it says is read, or it would stand still.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Ok(port)
}
