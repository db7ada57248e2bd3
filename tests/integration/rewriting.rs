//! Two-way rewriting against an upstream that records every byte: what a browser gets, and what the upstream sees.

mod answers;
mod bodies;
mod conditions;
mod requests;

use std::sync::{Arc, Mutex};

use reqwest::Method;

use crate::harness::{Options, TestGateway};
use crate::recorder::{Answer, Recorder, http};

/// An upstream that says one thing, and a gateway in front of it. `{host}` in what it says is its own address.
pub struct Stage {
    pub recorder: Recorder,
    pub gateway: TestGateway,
    said: Arc<Mutex<Said>>,
}

#[derive(Default)]
struct Said {
    status: u16,
    fields: String,
    body: Vec<u8>,
}

impl Stage {
    pub async fn new(portal: &str) -> Self {
        let said = Arc::new(Mutex::new(Said::default()));
        let shared = Arc::clone(&said);
        let recorder = Recorder::start(Answer::new(move |request, _| {
            let said = shared.lock().unwrap();
            let mut answer = http(said.status, &said.fields, &said.body);
            if request.method() == "HEAD" || said.status == 304 {
                answer.truncate(answer.len() - said.body.len());
            }
            answer
        }))
        .await;
        let mut options = Options::plain(recorder.address);
        options.portal.push_str(portal);
        let gateway = TestGateway::start(options).await;
        Self { recorder, gateway, said }
    }

    /// The upstream's own `host:port`.
    pub fn host(&self) -> String {
        self.recorder.address.to_string()
    }

    /// What the upstream says from now on.
    pub fn says(&self, status: u16, fields: &str, body: impl AsRef<[u8]>) {
        let fields = fields.replace("{host}", &self.host());
        *self.said.lock().unwrap() = Said { status, fields, body: body.as_ref().to_vec() };
    }

    /// The same, with a text as the body.
    pub fn says_text(&self, fields: &str, body: &str) {
        self.says(200, fields, body.replace("{host}", &self.host()));
    }

    /// A request for anything, with these fields.
    pub async fn get(&self, fields: &[(&str, &str)]) -> reqwest::Response {
        self.ask(Method::GET, "/public/x", fields).await
    }

    pub async fn ask(&self, method: Method, target: &str, fields: &[(&str, &str)]) -> reqwest::Response {
        let request = self.gateway.client().request(method, format!("{}{target}", self.gateway.origin()));
        with(request, fields).send().await.unwrap()
    }

    /// A browser of somebody who is signed in.
    pub async fn browser(&self) -> reqwest::Client {
        let client = self.gateway.client();
        self.gateway.sign_in(&client, "ana").await;
        client
    }

    /// Sends something from a page of the portal.
    pub async fn write(
        &self,
        browser: &reqwest::Client,
        method: Method,
        fields: &[(&str, &str)],
        body: &str,
    ) -> reqwest::Response {
        let request = browser.request(method, format!("{}/private/x", self.gateway.origin()));
        with(request.header("origin", self.gateway.origin()), fields).body(body.to_owned()).send().await.unwrap()
    }

    /// What the upstream should have been written as, for visitors.
    pub fn public(&self, text: &str) -> String {
        text.replace("http://{host}", &self.gateway.origin())
            .replace("{host}", self.gateway.origin().strip_prefix("https://").unwrap())
    }
}

fn with(request: reqwest::RequestBuilder, fields: &[(&str, &str)]) -> reqwest::RequestBuilder {
    fields.iter().fold(request, |request, (name, value)| request.header(*name, *value))
}

pub fn field<'a>(response: &'a reqwest::Response, name: &str) -> Option<&'a str> {
    response.headers().get(name).map(|value| value.to_str().unwrap())
}
