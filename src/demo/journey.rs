//! The whole journey, walked without a browser, over real sockets and TLS: what `vestibule demo --check` does.

mod at_cloud;
mod by_saml;

use std::time::Duration;

use regex::Regex;
use reqwest::header::{ACCEPT, HeaderMap, HeaderValue, ORIGIN};
use reqwest::multipart::{Form, Part};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Response};
use serde_json::json;
use url::Url;

use super::world::{CLOUD_HOST, PROVIDER, SAML_PROVIDER, World};
use crate::clock::Stopwatch;

/// What is attached to the request that the journey raises.
const ATTACHMENT: &[u8] = b"the log of what went wrong\n\0\xff";

/// A page of the portal, deep inside.
const DEEP_LINK: &str = "/servicedesk/customer/portal/1";

/// A step did not end as it has to.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each says itself what it is")]
pub enum StepFailed {
    #[error("{0}")]
    Unexpected(String),
    #[error("no answer: {0}")]
    NoAnswer(#[from] reqwest::Error),
    #[error("an address that is none: {0}")]
    Address(#[from] url::ParseError),
    #[error("a pattern that is none: {0}")]
    Pattern(#[from] regex::Error),
}

fn expect(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), StepFailed> {
    if holds { Ok(()) } else { Err(StepFailed::Unexpected(otherwise())) }
}

/// Walks the journey and tells of each step when it is done: its name, its time, and what went wrong with the last.
pub async fn walk(world: &World, mut tell: impl FnMut(&str, Duration, Option<&StepFailed>)) -> bool {
    macro_rules! step {
        ($name:expr, $step:expr) => {{
            let watch = Stopwatch::start();
            match $step.await {
                Ok(value) => {
                    tell($name, watch.elapsed(), None);
                    value
                }
                Err(error) => {
                    tell($name, watch.elapsed(), Some(&error));
                    return false;
                }
            }
        }};
    }
    let ana = step!("start a browser", async { Visitor::new(world) });
    let to_provider = step!("a stranger is stopped, and sent to sign in", ana.is_stopped(PROVIDER));
    let landed = step!("Ana signs in, and lands where she wanted to go", ana.sign_in(to_provider, "ana"));
    step!("the portal opens as Ana, under the public name alone", ana.sees_the_portal(&landed, "Ana Almeida"));
    let key = step!("Ana raises a request with an attachment", ana.raises_a_request());
    step!("the attachment comes back byte for byte", ana.downloads_the_attachment(&key));
    step!("Ana comments on it", ana.comments(&key));
    step!("it is in her list", ana.finds_it_in_her_list(&key));
    world.jsm.kill_all("ana@acme.example");
    step!("her customer session dies at JSM, and she does not notice", ana.finds_it_in_her_list(&key));
    step!("Ana signs out", ana.signs_out());
    step!("she is stopped again", ana.is_stopped(PROVIDER));
    for (person, name) in [("gus", "Gus, from another domain, is refused"), ("bob", "Bob, who is blocked, is refused")]
    {
        let visitor = step!("start another browser", async { Visitor::new(world) });
        let to_provider = step!("a stranger is stopped, and sent to sign in", visitor.is_stopped(PROVIDER));
        step!(name, visitor.is_refused(to_provider, person));
    }
    let at_cloud = || async { Visitor::at_cloud(world) };
    let ana = step!("cloud portal: start another browser", at_cloud());
    let to_provider = step!("cloud portal: a stranger is stopped, and sent to sign in", ana.is_stopped(PROVIDER));
    let landed = step!("cloud portal: Ana signs in, and lands where she wanted to go", ana.sign_in(to_provider, "ana"));
    step!(
        "SAML: the gateway signs her on at JSM Cloud, and the portal opens as Ana",
        ana.sees_the_portal(&landed, "Ana Almeida")
    );
    let key = step!("cloud portal: Ana raises a request with an attachment", ana.raises_a_request());
    step!("organization: she sees what her colleague at Acme has asked", ana.sees_the_colleagues_request());
    world.cloud.jsm.kill_all("ana@acme.example");
    step!("cloud portal: her customer session dies at JSM, and she does not notice", ana.finds_it_in_her_list(&key));
    step!("cloud portal: Ana signs out", ana.signs_out());
    step!("cloud portal: her session at JSM has ended, too", async {
        expect(world.cloud.jsm.sessions_of("ana@acme.example") == 0, || "it has not".into())
    });
    for (person, name) in [
        ("gus", "refused: Gus, from another domain, is refused at the cloud portal"),
        ("bob", "blocked: Bob is refused at the cloud portal"),
    ] {
        let visitor = step!("cloud portal: start another browser", at_cloud());
        let to_provider = step!("cloud portal: a stranger is stopped", visitor.is_stopped(PROVIDER));
        step!(name, visitor.is_refused(to_provider, person));
    }
    let mia = step!("cloud portal: start another browser", at_cloud());
    step!("already an Atlassian account: Mia reads so", mia.has_an_atlassian_account("mia"));
    let Some(saml) = &world.saml else { return true };
    let gina = step!("cloud portal: start another browser", at_cloud());
    let to_provider =
        step!("cloud portal: Gina is sent to her company's SAML provider", gina.is_stopped(SAML_PROVIDER));
    let landed = step!("cloud portal: she signs in there", gina.signs_in_by_saml(to_provider, "gina"));
    step!("cloud portal: it opens as Gina", gina.sees_the_portal(&landed, "Gina Gomes"));
    step!("organization: she sees nothing of Acme's", gina.sees_no_other_companys_request());
    step!("cloud portal: Gina signs out at her provider", gina.signs_out_at_the_provider(saml));
    step!("cloud portal: so her session at JSM has ended, too", async {
        expect(world.cloud.jsm.sessions_of("gina@globex.com") == 0, || "it has not".into())
    });
    let gina = step!("start another browser", async { Visitor::new(world) });
    let to_provider = step!("Gina is stopped, and sent to her company's SAML provider", gina.is_stopped(SAML_PROVIDER));
    let landed =
        step!("she signs in there, and lands where she wanted to go", gina.signs_in_by_saml(to_provider, "gina"));
    step!("the portal opens as Gina", gina.sees_the_portal(&landed, "Gina Gomes"));
    step!("Gina signs out, here and at her provider", gina.signs_out_everywhere(saml));
    let to_provider = step!("she is stopped again, and her provider asks anew", gina.is_stopped(SAML_PROVIDER));
    step!("she signs in once more", gina.signs_in_by_saml(to_provider, "gina"));
    step!("Gina signs out at her provider, and so here", gina.signs_out_at_the_provider(saml));
    step!("she is stopped again", gina.is_stopped(SAML_PROVIDER));
    let eve = step!("start another browser", async { Visitor::new(world) });
    let to_provider = step!("Eve is sent to the SAML provider", eve.is_stopped(SAML_PROVIDER));
    step!("Eve, with an address of another company, is refused", eve.is_refused_by_saml(to_provider, "eve"));
    true
}

/// A browser, as far as the journey needs one.
struct Visitor {
    client: Client,
    origin: String,
    upstream: String,
}

impl Visitor {
    fn new(world: &World) -> Result<Self, StepFailed> {
        Self::at(world, world.origin(), world.jsm.base_url())
    }

    fn at_cloud(world: &World) -> Result<Self, StepFailed> {
        Self::at(world, world.cloud_origin(), world.cloud.jsm.base_url())
    }

    fn at(world: &World, origin: String, upstream: String) -> Result<Self, StepFailed> {
        let client = Client::builder()
            .no_proxy()
            .cookie_store(true)
            .redirect(Policy::none())
            .add_root_certificate(Certificate::from_pem(world.authority_pem.as_bytes())?)
            .timeout(Duration::from_secs(30))
            .resolve(CLOUD_HOST, world.app.https_address())
            .build()?;
        Ok(Self { client, origin, upstream })
    }

    /// Follows a link.
    async fn navigate(&self, address: &str) -> Result<Response, StepFailed> {
        let address = Url::parse(&self.origin)?.join(address)?;
        let headers = HeaderMap::from_iter([
            (ACCEPT, HeaderValue::from_static("text/html,application/xhtml+xml")),
            (http::HeaderName::from_static("sec-fetch-mode"), HeaderValue::from_static("navigate")),
            (http::HeaderName::from_static("sec-fetch-dest"), HeaderValue::from_static("document")),
        ]);
        Ok(self.client.get(address).headers(headers).send().await?)
    }

    /// A page of the portal that has to be there.
    async fn page(&self, address: &str) -> Result<String, StepFailed> {
        let answer = self.navigate(address).await?;
        let status = answer.status();
        let text = answer.text().await?;
        expect(status == 200, || format!("{address} answered {status}: {}", start_of(&text)))?;
        expect(!text.contains(&self.upstream), || format!("{address} shows the upstream's own address"))?;
        Ok(text)
    }

    /// A page of the portal leads to sign in; gives the way to `provider`.
    async fn is_stopped(&self, provider: &str) -> Result<String, StepFailed> {
        let answer = self.navigate(DEEP_LINK).await?;
        let (status, straight) = (answer.status(), location_of(&answer));
        let location = if status == 303 {
            straight
        } else {
            let list = answer.text().await?;
            let transaction = first(&list, r#"name="transaction" value="([^"]+)""#)?;
            let fields = [("transaction", transaction.as_str()), ("provider", provider)];
            let address = format!("{}/.vestibule/sign-in", self.origin);
            let chosen = self.client.post(address).header(ORIGIN, &self.origin).header(ACCEPT, "text/html");
            on_the_way(&chosen.form(&fields).send().await?.text().await?)?
        };
        let right = location.contains(if provider == PROVIDER { "/authorize?" } else { "/sso?" });
        expect(right, || format!("{DEEP_LINK} answered {status}, and leads to {location:?}"))?;
        Ok(location)
    }

    /// Chooses `person` on the provider's page; gives the answer of the callback.
    async fn choose(&self, to_provider: String, person: &str) -> Result<Response, StepFailed> {
        let page = self.client.get(&to_provider).send().await?.text().await?;
        let handle = first(&page, r#"name="handle" value="([^"]+)""#)?;
        let action = first(&page, r#"<form method="post" action="([^"]+)""#)?;
        let form = [("handle", handle.as_str()), ("person", person)];
        let approved = self.client.post(action).form(&form).send().await?;
        let callback = location_of(&approved);
        expect(callback.starts_with(&self.origin), || format!("the provider leads to {callback:?}"))?;
        self.navigate(&callback).await
    }

    async fn sign_in(&self, to_provider: String, person: &str) -> Result<String, StepFailed> {
        let returned = self.choose(to_provider, person).await?;
        let location = location_of(&returned);
        expect(location == DEEP_LINK, || format!("the callback answered {} to {location:?}", returned.status()))?;
        Ok(location)
    }

    async fn is_refused(&self, to_provider: String, person: &str) -> Result<(), StepFailed> {
        let returned = self.choose(to_provider, person).await?;
        expect(returned.status() == 403, || format!("the callback answered {}", returned.status()))?;
        self.is_stopped(PROVIDER).await.map(drop)
    }

    async fn sees_the_portal(&self, landed: &str, name: &str) -> Result<(), StepFailed> {
        let page = self.page(landed).await?;
        expect(page.contains(name), || format!("the page does not greet {name}: {}", start_of(&page)))
    }

    /// Gives the key of the request.
    async fn raises_a_request(&self) -> Result<String, StepFailed> {
        let portal = self.page(DEEP_LINK).await?;
        let create = first(&portal, r#"href="([^"]*/servicedesk/customer/portal/1/create/[^"]+)""#)?;
        let form = self.page(&create).await?;
        let token = first(&form, r#"name="atl_token" value="([^"]+)""#)?;
        let file = Part::bytes(ATTACHMENT).file_name("what went wrong.log").mime_str("application/octet-stream")?;
        let fields = Form::new()
            .text("atl_token", token)
            .text("summary", "The printer is on fire")
            .text("description", "It says \"PC LOAD LETTER\".")
            .part("attachment", file);
        let address = Url::parse(&self.origin)?.join(&create)?;
        let posted = self.client.post(address).header(ORIGIN, &self.origin).multipart(fields).send().await?;
        let (status, location) = (posted.status(), location_of(&posted));
        let text = posted.text().await?;
        let raised = status.is_redirection() && !location.contains(&self.upstream);
        expect(raised, || format!("the form was answered {status} to {location:?}: {}", start_of(&text)))?;
        first(&location, r"/([A-Z]+-[0-9]+)$")
    }

    async fn downloads_the_attachment(&self, key: &str) -> Result<(), StepFailed> {
        let page = self.page(&format!("{DEEP_LINK}/{key}")).await?;
        let link = first(&page, r#"href="([^"]*/secure/attachment/[^"]+)""#)?;
        let bytes = self.navigate(&link.replace("&amp;", "&")).await?.bytes().await?;
        expect(bytes == ATTACHMENT, || format!("{} bytes came back", bytes.len()))
    }

    async fn comments(&self, key: &str) -> Result<(), StepFailed> {
        let address = format!("{}/rest/servicedeskapi/request/{key}/comment", self.origin);
        let comment = json!({"body": "It is out now.", "public": true});
        let answer = self.client.post(address).header(ORIGIN, &self.origin).json(&comment).send().await?;
        expect(answer.status() == 201, || format!("the comment was answered {}", answer.status()))?;
        let page = self.page(&format!("{DEEP_LINK}/{key}")).await?;
        expect(page.contains("It is out now."), || "the comment is not on the page".into())
    }

    async fn finds_it_in_her_list(&self, key: &str) -> Result<(), StepFailed> {
        let page = self.page("/servicedesk/customer/user/requests").await?;
        expect(page.contains(key), || format!("{key} is not in the list"))
    }

    async fn signs_out(&self) -> Result<(), StepFailed> {
        self.page("/.vestibule/sign-out").await?;
        let address = format!("{}/.vestibule/sign-out", self.origin);
        let answer = self.client.post(address).header(ORIGIN, &self.origin).form(&[("", "")]).send().await?;
        let status = answer.status();
        expect(status.is_success() || status.is_redirection(), || format!("signing out was answered {status}"))
    }
}

/// Where a page sends the browser on.
fn on_the_way(page: &str) -> Result<String, StepFailed> {
    Ok(unescape(&first(page, r#"content="0;url=([^"]+)""#)?))
}

/// The text behind the escapes of an attribute.
fn unescape(value: &str) -> String {
    let escapes = [("&#34;", "\""), ("&#39;", "'"), ("&#43;", "+"), ("&#47;", "/"), ("&#61;", "="), ("&#38;", "&")];
    escapes.iter().fold(value.to_owned(), |text, (from, to)| text.replace(from, to))
}

fn location_of(answer: &Response) -> String {
    let location = answer.headers().get(reqwest::header::LOCATION).and_then(|value| value.to_str().ok());
    location.unwrap_or_default().to_owned()
}

/// What the first group of `pattern` matches.
fn first(text: &str, pattern: &str) -> Result<String, StepFailed> {
    let found =
        Regex::new(pattern)?.captures(text).and_then(|groups| groups.get(1).map(|group| group.as_str().to_owned()));
    found.ok_or_else(|| StepFailed::Unexpected(format!("nothing like {pattern} in: {}", start_of(text))))
}

fn start_of(text: &str) -> String {
    text.chars().take(300).collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}
