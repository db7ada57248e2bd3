//! A headless Chromium that does what a person would do.

use serde_json::{Value, json};
use url::Url;

use crate::node::{Script, chromium, screenshots};

/// All sizes and colours that pages of ours are looked at in.
pub const ALL_LOOKS: [&str; 4] = ["desktop-light", "desktop-dark", "phone-light", "phone-dark"];

/// A thing on a page, as people find it.
#[derive(Clone, Copy, Debug)]
pub enum Thing<'a> {
    Button(&'a str),
    Link(&'a str),
    Heading(&'a str),
    Field(&'a str),
    FieldThatHints(&'a str),
    Text(&'a str),
}

impl Thing<'_> {
    fn told(self, what: &str) -> Value {
        match self {
            Self::Button(name) => json!({"do": what, "role": "button", "name": name}),
            Self::Link(name) => json!({"do": what, "role": "link", "name": name}),
            Self::Heading(name) => json!({"do": what, "role": "heading", "name": name}),
            Self::Field(label) => json!({"do": what, "label": label}),
            Self::FieldThatHints(hint) => json!({"do": what, "placeholder": hint}),
            Self::Text(text) => json!({"do": what, "text": text}),
        }
    }
}

/// What the browser asked for and complained of.
#[derive(Debug)]
pub struct Traffic {
    /// Addresses that it asked for.
    pub requests: Vec<Url>,
    /// Addresses elsewhere that it was kept from: the page that wanted them, and what.
    pub blocked: Vec<(String, String)>,
    /// Errors and warnings: the address that they are about, and what they say.
    pub console: Vec<(String, String)>,
}

/// The browser.
pub struct Browser {
    script: Script,
    profiles: tempfile::TempDir,
}

impl Browser {
    pub async fn start() -> Self {
        let profiles = tempfile::tempdir().unwrap();
        let settings = json!({"chromium": chromium(), "screenshots": screenshots(), "patience": 15_000}).to_string();
        // Profiles are empty, and go with the test.
        let mut script = Script::start("browser.mjs", &[&settings], &[("TMPDIR", profiles.path())]);
        let version = script.answer().await;
        println!("Chromium {}", version["value"].as_str().unwrap());
        Self { script, profiles }
    }

    async fn act(&mut self, command: Value) -> Value {
        match self.tried(&command).await {
            Ok(value) => value,
            Err(error) => {
                let _ = self.tried(&json!({"do": "screenshot", "name": "failed", "looks": ["desktop-light"]})).await;
                let text = self.tried(&json!({"do": "text"})).await.unwrap_or_default();
                let picture = screenshots().join("failed-desktop-light.png");
                let text = text.as_str().unwrap_or_default();
                panic!("{command}: {error}\nThe page says (picture: {}):\n{text}", picture.display());
            }
        }
    }

    async fn tried(&mut self, command: &Value) -> Result<Value, String> {
        self.script.tell(command).await;
        let mut answer = self.script.answer().await;
        if answer.get("error").is_none() { Ok(answer["value"].take()) } else { Err(answer.to_string()) }
    }

    /// The person who acts from now on; a new one comes with a browser of their own.
    pub async fn visitor(&mut self, name: &str) {
        self.act(json!({"do": "visitor", "name": name})).await;
    }

    /// Enters an address. Gives the status.
    pub async fn open(&mut self, url: &str) -> u64 {
        self.act(json!({"do": "open", "url": url})).await["status"].as_u64().unwrap()
    }

    /// A further tab.
    pub async fn tab(&mut self) {
        self.act(json!({"do": "tab"})).await;
    }

    /// Turns to the tab or window that was opened as the `n`th, from 0.
    pub async fn turn_to(&mut self, n: usize) {
        self.act(json!({"do": "turn", "to": n})).await;
    }

    /// Waits until so many tabs and windows are open.
    pub async fn has_tabs(&mut self, count: usize) {
        self.act(json!({"do": "tabs", "count": count})).await;
    }

    /// What a script says in the page.
    pub async fn evaluate(&mut self, script: &str) -> Value {
        self.act(json!({"do": "evaluate", "script": script})).await
    }

    /// What is in a field.
    pub async fn value(&mut self, thing: Thing<'_>) -> String {
        self.act(thing.told("value")).await.as_str().unwrap().to_owned()
    }

    /// Goes back by the browser's button.
    pub async fn back(&mut self) {
        self.act(json!({"do": "back"})).await;
    }

    pub async fn click(&mut self, thing: Thing<'_>) {
        self.act(thing.told("click")).await;
    }

    pub async fn fill(&mut self, thing: Thing<'_>, value: &str) {
        let mut command = thing.told("fill");
        command["value"] = json!(value);
        self.act(command).await;
    }

    pub async fn attach(&mut self, thing: Thing<'_>, file: &str, bytes: &[u8]) {
        let mut command = thing.told("attach");
        command["file"] = json!(file);
        command["type"] = json!("application/octet-stream");
        command["base64"] = json!(base64::Engine::encode(&base64::prelude::BASE64_STANDARD, bytes));
        self.act(command).await;
    }

    /// Waits until it is there.
    pub async fn sees(&mut self, thing: Thing<'_>) {
        self.act(thing.told("sees")).await;
    }

    /// It is not there, now that the page is.
    pub async fn lacks(&mut self, thing: Thing<'_>) {
        self.act(thing.told("lacks")).await;
    }

    /// Waits until the address begins so; gives all of it.
    pub async fn at(&mut self, url: &str) -> String {
        self.act(json!({"do": "at", "url": url})).await.as_str().unwrap().to_owned()
    }

    /// The status of the page that is shown.
    pub async fn status(&mut self) -> u64 {
        self.act(json!({"do": "status"})).await.as_u64().unwrap()
    }

    /// The source of the page that is shown, as scripts have changed it.
    pub async fn html(&mut self) -> String {
        self.act(json!({"do": "html"})).await.as_str().unwrap().to_owned()
    }

    /// Follows a link to a file. Gives its name and content.
    pub async fn download(&mut self, thing: Thing<'_>) -> (String, Vec<u8>) {
        let file = self.act(thing.told("download")).await;
        let bytes = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, file["base64"].as_str().unwrap());
        (file["name"].as_str().unwrap().to_owned(), bytes.unwrap())
    }

    /// Names of the cookies that this visitor's browser has.
    pub async fn cookies(&mut self) -> Vec<String> {
        let cookies = self.act(json!({"do": "cookies"})).await;
        let names = cookies.as_array().unwrap().iter().map(|cookie| cookie["name"].as_str().unwrap().to_owned());
        names.collect()
    }

    /// What this visitor's browser did since the last time.
    pub async fn traffic(&mut self) -> Traffic {
        let told = self.act(json!({"do": "traffic"})).await;
        let list = |name: &str| told[name].as_array().unwrap().clone();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let pair = |one: &Value, first: &str, second: &str| (text(&one[first]), text(&one[second]));
        Traffic {
            requests: list("requests").iter().map(|one| Url::parse(&text(&one["url"])).unwrap()).collect(),
            blocked: list("blocked").iter().map(|one| pair(one, "page", "url")).collect(),
            console: list("console").iter().map(|one| pair(one, "url", "text")).collect(),
        }
    }

    /// Keeps a picture of the page, in each of these looks.
    pub async fn picture(&mut self, name: &str, looks: &[&str]) {
        self.act(json!({"do": "screenshot", "name": name, "looks": looks})).await;
    }

    pub async fn stop(self) {
        self.script.stop().await;
        drop(self.profiles);
    }
}
