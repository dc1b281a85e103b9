//! The page in a browser: it follows what happens by itself, and shows what others say as text.

use anyhow::{Result, ensure};
use dist::{Cookie, Epmd, Listen, NodeName};
use integration::{SOON, eventually};
use serde_json::Value;

use crate::browser::Browser;
use crate::place::{Node, Place};

/// What the row of a node says, one text for each column.
const ROW: &str = "[...document.querySelectorAll('#members tr')].filter(row => row.dataset.node === NAME)\
                   .map(row => [...row.cells].map(cell => cell.innerText.trim()))[0] || null";

async fn open(node: &Node, width: u32, height: u32) -> Result<Browser> {
    let browser = Browser::start(width, height).await?;
    browser.client.goto(&format!("http://{}/", node.admin)).await?;
    // A page that is loaded anew would not have it.
    browser.run("window.mark = 'the same page'").await?;
    Ok(browser)
}

async fn row_that(
    browser: &Browser,
    name: &str,
    what: &str,
    wanted: impl Fn(&Value) -> bool,
) -> Result<Value> {
    let row = ROW.replace("NAME", &serde_json::to_string(name)?);
    eventually(SOON, what, async || {
        let row = browser.run(&row).await?;
        ensure!(wanted(&row), "{row}");
        Ok::<_, anyhow::Error>(row)
    })
    .await
}

fn says(cell: &Value, text: &str) -> bool {
    cell.as_str().is_some_and(|cell| cell.contains(text))
}

#[tokio::test]
async fn a_node_comes_and_goes_while_one_looks() -> Result<()> {
    let place = Place::new().await?;
    let mut node = place.joined().await?;
    let browser = open(&node, 1280, 900).await?;
    eventually(SOON, "an empty page", async || {
        let nobody = browser.run("!document.querySelector('#nobody').hidden").await?;
        let ready = browser.run("document.querySelector('#ready').innerText").await?;
        ensure!(nobody == true && ready == "ready", "{nobody} {ready}");
        Ok::<_, anyhow::Error>(())
    })
    .await?;
    assert_eq!(browser.run("document.querySelector('h1').innerText").await?, node.joined.name);

    let mut beam = place.beam("beam", &mut node).await?;
    let row = row_that(&browser, beam.name(), "the node", |row| says(&row[1], "up")).await?;
    assert!(says(&row[2], "ago") && says(&row[3], "messages"), "{row}");
    beam.kill9().await?;
    let row = row_that(&browser, beam.name(), "its end", |row| says(&row[1], "down")).await?;
    assert!(
        says(&row[7], "refused")
            || says(&row[7], "connection_closed")
            || says(&row[7], "knows no node"),
        "{row}"
    );
    let events = browser.run("document.querySelector('#events').innerText").await?;
    assert!(says(&events, "down") && says(&events, beam.name()), "{events}");
    beam.restart().await?;
    let row = row_that(&browser, beam.name(), "it again", |row| says(&row[1], "up")).await?;
    assert!(row[6] == "1" || says(&row[6], "1"), "one reconnect: {row}");
    assert_eq!(browser.run("window.mark").await?, "the same page");

    // The node itself ends: what is shown is marked as old.
    assert_eq!(browser.run("document.querySelector('#lost').hidden").await?, true);
    node.joined.kill9().await?;
    eventually(SOON, "the notice", async || {
        let lost = browser.run("document.querySelector('#lost').innerText").await?;
        ensure!(says(&lost, "does not answer"), "{lost}");
        Ok::<_, anyhow::Error>(())
    })
    .await?;
    assert_eq!(browser.run("window.mark").await?, "the same page");
    browser.close().await
}

#[tokio::test]
async fn names_and_reasons_of_others_are_text() -> Result<()> {
    let place = Place::new().await?;
    let node = place.joined().await?;
    let browser = open(&node, 390, 844).await?;
    browser.run("window.alert = () => { window.hacked = true }").await?;
    let name = "<img/src=x/onerror=alert(1)>\"'&lt;@127.0.0.1";
    let parsed: NodeName = name.parse()?;
    let other = place.world.node_named(parsed, Cookie::new(&place.world.cookie)?);
    let other = other.listen(Listen::Off).epmd(Epmd::None).start().await?;
    other.connect(&node.joined.name.parse()?).await?;
    let row = row_that(&browser, name, "the node", |row| says(&row[1], "up")).await?;
    assert!(says(&row[0], name), "{row}");
    // An announced name, whose host appears in the reason of the failed dial.
    let announced = "<svg/onload=alert(2)>@<b>alert(3)</b>";
    place.announce(announced).await?;
    let row = row_that(&browser, announced, "a reason", |row| says(&row[7], "<b>")).await?;
    assert!(says(&row[1], "unreached"), "{row}");
    let injected =
        "document.querySelectorAll('main img, main svg, main b:not(li > b), main script').length";
    assert_eq!(browser.run(injected).await?, 0);
    assert_eq!(browser.run("window.hacked === true").await?, false);
    // On a phone nothing is wider than the screen, nor than its own place.
    assert_eq!(browser.run("innerWidth").await?, 390);
    let wide = "document.documentElement.scrollWidth > innerWidth";
    assert_eq!(browser.run(wide).await?, false);
    let right = "getBoundingClientRect().right";
    let out = format!(
        "[...document.querySelectorAll('#members td > *')]\
         .filter(text => text.{right} > text.parentElement.{right} + 1).map(text => text.innerText)"
    );
    assert_eq!(browser.run(&out).await?, serde_json::json!([]));
    browser.close().await
}
