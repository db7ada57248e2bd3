//! HTTP/2: few connections that all requests share, each a stream at its own moment.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, Client, RequestBuilder};
use tokio::sync::mpsc::unbounded_channel;
use tokio::task::JoinSet;

use crate::{Failed, Outcome, Plan, due, wait_until};

/// On each connection before the first moment.
const STREAMS: usize = 2;

pub fn run(plan: &Plan) -> Result<Outcome, Failed> {
    let (ca, name) = plan.tls.as_ref().ok_or("HTTP/2 wants --tls")?;
    if plan.rate == 0 || plan.body > 0 || plan.reconnect.is_some() {
        return Err("HTTP/2 wants a rate, and neither --body nor --reconnect".into());
    }
    let root = Certificate::from_pem(&std::fs::read(ca)?)?;
    // The address says the port, so that the name alone is the `:authority`.
    let (url, address) = (format!("https://{name}{}", plan.path), plan.address.parse()?);
    let clients = (0..plan.connections).map(|_| client(plan, &root, name, address)).collect::<Result<Vec<_>, _>>()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        for client in &clients {
            answered(client.get(&url), &plan.statuses).await?;
        }
        // Several at once, so that the subject has its connections to the backend, too.
        let mut first = JoinSet::new();
        for client in clients.iter().flat_map(|client| std::iter::repeat_n(client, STREAMS)) {
            let (request, statuses) = (client.get(&url), plan.statuses.clone());
            first.spawn(async move { answered(request, &statuses).await });
        }
        while let Some(done) = first.join_next().await {
            done??;
        }
        let (tell, mut moments) = unbounded_channel();
        let (begin, rate) = (Instant::now() + Duration::from_millis(10), plan.rate);
        let total = rate.saturating_mul(plan.seconds);
        // A thread keeps the time: the runtime's clock ticks in milliseconds.
        let clock = std::thread::spawn(move || {
            for due in (0..total).map(|number| due(begin, number, rate)) {
                wait_until(due);
                if tell.send(due).is_err() {
                    return; // an answer was wrong
                }
            }
        });
        let (mut under_way, mut outcome) = (JoinSet::new(), Outcome::default());
        for client in clients.iter().cycle() {
            let Some(due) = moments.recv().await else { break };
            let (request, statuses) = (client.get(&url), plan.statuses.clone());
            under_way.spawn(async move { answered(request, &statuses).await.map(|()| due.elapsed()) });
            while let Some(done) = under_way.try_join_next() {
                outcome.taken.push(u64::try_from(done??.as_micros())?);
            }
        }
        while let Some(done) = under_way.join_next().await {
            outcome.taken.push(u64::try_from(done??.as_micros())?);
        }
        clock.join().map_err(|_| "the clock ended badly")?;
        Ok(outcome)
    })
}

/// One connection's worth: a client does not open a second one to the same server.
fn client(plan: &Plan, root: &Certificate, name: &str, address: SocketAddr) -> Result<Client, Failed> {
    let mut headers = HeaderMap::new();
    for (name, value) in plan.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("host")) {
        headers.insert(HeaderName::try_from(name)?, HeaderValue::try_from(value)?);
    }
    let builder = Client::builder().tls_built_in_root_certs(false).add_root_certificate(root.clone());
    let builder = builder.http2_prior_knowledge().timeout(Duration::from_secs(10)).no_proxy();
    let builder = builder.redirect(reqwest::redirect::Policy::none()).default_headers(headers).resolve(name, address);
    Ok(builder.build()?)
}

async fn answered(request: RequestBuilder, statuses: &[u16]) -> Result<(), Failed> {
    let answer = request.send().await?;
    let status = answer.status().as_u16();
    if !statuses.contains(&status) {
        return Err(format!("answered {status}").into());
    }
    answer.bytes().await?;
    Ok(())
}
