//! The mails that the site sends, and the links in them by which a customer sets a password.

use axum::Json;
use axum::extract::{Form, Path, State as Shared};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::JsmCloud;
use super::accounts::{AccountType, looks_like_email};
use super::desks::find_desk;
use super::extract::{JsonBody, Params, Staff};
use super::guard::Visitor;
use super::html::{escape, percent};
use super::pages::frame;
use super::problem::{Problem, found};
use super::state::State;
use crate::clock::Timestamp;
use crate::demo::jsm::frame::private;
use crate::demo::jsm::views::trouble;
use crate::random::{NoRandomness, Random};
use crate::secret::Secret;

const SHORTEST_PASSWORD: usize = 8;
const PAGE: &str = "/servicedesk/customer/user/set-password";

/// Why a mail was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailKind {
    /// Somebody of the site invites a customer.
    Invitation,
    /// A stranger asked for an account.
    SignUp,
    /// A customer forgot the password, or never had one.
    PasswordReset,
}

/// A mail in the outbox.
#[derive(Clone, Debug)]
pub struct Mail {
    /// Whom it is for.
    pub to: String,
    /// Why it was sent.
    pub kind: MailKind,
    /// Its subject.
    pub subject: &'static str,
    /// The link in it: under the site's own name, and good once.
    pub link: String,
    /// When it was sent.
    pub sent: Timestamp,
}

/// A link that was not used yet.
#[derive(Clone, Debug)]
pub(super) struct Ticket {
    email: String,
    display_name: String,
}

impl State {
    /// Sends a mail with a link by which `email` sets a password.
    pub(super) fn send_mail(
        &mut self,
        random: &Random,
        kind: MailKind,
        email: &str,
        display_name: &str,
        now: Timestamp,
    ) -> Result<(), NoRandomness> {
        let subject = match kind {
            MailKind::Invitation => "You have been invited to the help center",
            MailKind::SignUp => "Finish signing up for the help center",
            MailKind::PasswordReset => "Reset your password for the help center",
        };
        let token = random.token()?;
        let link = self.url(&format!("{PAGE}?token={token}"));
        self.tickets.insert(token, Ticket { email: email.to_owned(), display_name: display_name.to_owned() });
        self.mails.push(Mail { to: email.to_owned(), kind, subject, link, sent: now });
        Ok(())
    }
}

impl JsmCloud {
    /// Every mail that was sent, oldest first.
    pub fn mails(&self) -> Vec<Mail> {
        self.state().mails.clone()
    }

    /// The last mail to that address.
    pub fn last_mail_to(&self, email: &str) -> Option<Mail> {
        self.state().mails.iter().rev().find(|mail| mail.to.eq_ignore_ascii_case(email)).cloned()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SignUp {
    email: String,
    #[serde(default)]
    secondary_email: String,
}

/// `POST /rest/servicedesk/1/customer/pages/user/signup`.
pub(super) async fn sign_up(
    Shared(jsm): Shared<JsmCloud>,
    JsonBody(asked): JsonBody<SignUp>,
) -> Result<StatusCode, Problem> {
    let now = jsm.now();
    let mut state = jsm.state();
    if !state.switches.public_sign_up {
        return Err(Problem::Desk(StatusCode::FORBIDDEN, "sd.signup.disabled", "Sign up is disabled.".to_owned()));
    }
    // The second field is hidden from people: only a robot fills it.
    if !asked.secondary_email.is_empty() || !looks_like_email(&asked.email) {
        return Err(Problem::bad("The e-mail address is not valid."));
    }
    if !state.has_atlassian_account(&asked.email) {
        state.send_mail(jsm.random(), MailKind::SignUp, &asked.email, &asked.email, now)?;
    }
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ForgotPassword {
    email: String,
}

/// `POST /rest/servicedesk/1/customer/pages/user/forgot-password`: the answer does not tell whether there is an account.
pub(super) async fn forgot_password(
    Shared(jsm): Shared<JsmCloud>,
    JsonBody(asked): JsonBody<ForgotPassword>,
) -> Result<StatusCode, Problem> {
    let now = jsm.now();
    let mut state = jsm.state();
    let known = state.customer(&asked.email).filter(|account| account.may_open_portal());
    let known = known.map(|account| (account.email.clone(), account.display_name.clone()));
    if let Some((email, name)) = known {
        state.send_mail(jsm.random(), MailKind::PasswordReset, &email, &name, now)?;
    }
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Invitations {
    emails: Vec<String>,
}

/// `POST /rest/servicedesk/1/pages/people/customers/pagination/{projectKey}/invite`, and `/invite/resend`.
pub(super) async fn invite_many(
    Shared(jsm): Shared<JsmCloud>,
    _: Staff,
    Path(key): Path<String>,
    JsonBody(asked): JsonBody<Invitations>,
) -> Result<Json<Value>, Problem> {
    let now = jsm.now();
    let mut state = jsm.state();
    let desk = find_desk(&state, &key)?.id;
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for email in &asked.emails {
        if looks_like_email(email) && !state.has_atlassian_account(email) {
            invite(&mut state, jsm.random(), desk, email, email, now)?;
            good.push(email);
        } else {
            bad.push(email);
        }
    }
    Ok(Json(json!({"success": good, "failed": bad})))
}

/// Makes the account if there is none, opens the portal to it again, adds it to the desk and sends the mail; its id.
pub(super) fn invite(
    state: &mut State,
    random: &Random,
    desk: &str,
    email: &str,
    display_name: &str,
    now: Timestamp,
) -> Result<String, NoRandomness> {
    let known = state.customer(email).map(|account| account.account_id.clone());
    let id = match known {
        Some(id) => id,
        None => {
            super::counters::count(&mut state.counters.customers_created, email.to_lowercase());
            state.make_account(random, AccountType::Customer, email, display_name, now)?
        }
    };
    if let Some(account) = state.account_mut(&id) {
        account.portal_access = true;
    }
    if let Some(desk) = state.desks.iter_mut().find(|known| known.id == desk) {
        desk.members.insert(id.clone());
    }
    state.send_mail(random, MailKind::Invitation, email, display_name, now)?;
    Ok(id)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Link {
    token: String,
}

fn no_such_link() -> Problem {
    Problem::page(StatusCode::GONE, "This link was used already, or is not one of ours.")
}

/// `GET /servicedesk/customer/user/set-password?token=`.
pub(super) async fn password_page(
    Shared(jsm): Shared<JsmCloud>,
    visitor: Visitor,
    Params(link): Params<Link>,
) -> Result<Response, Problem> {
    let email = jsm.state().tickets.get(&link.token).map(|ticket| ticket.email.clone()).ok_or_else(no_such_link)?;
    Ok(page(&jsm, &visitor, &link.token, &email, ""))
}

fn page(jsm: &JsmCloud, visitor: &Visitor, token: &str, email: &str, wrong: &str) -> Response {
    let action = jsm.state().url(&format!("{PAGE}?token={}", percent(token)));
    let body = format!(
        "<form class=\"card narrow\" method=\"post\" action=\"{action}\"><h1>Choose a password</h1>{trouble}\
         <p>For <b>{email}</b>.</p><input type=\"hidden\" name=\"atl_token\" value=\"{xsrf}\">\
         <label>Password<input name=\"password\" type=\"password\" autocomplete=\"new-password\" required></label>\
         <button>Save</button></form>",
        action = escape(&action),
        trouble = trouble(wrong),
        email = escape(email),
        xsrf = escape(&visitor.xsrf),
    );
    private(frame(jsm, visitor).page("Choose a password", json!({"page": "password"}), &body))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPassword {
    password: String,
    atl_token: Option<String>,
}

/// `POST /servicedesk/customer/user/set-password?token=`: sets the password, makes the account of who signed up, and signs in.
pub(super) async fn set_password(
    Shared(jsm): Shared<JsmCloud>,
    visitor: Visitor,
    Params(link): Params<Link>,
    headers: HeaderMap,
    Form(new): Form<NewPassword>,
) -> Result<Response, Problem> {
    visitor.check_token(new.atl_token.as_deref())?;
    let now = jsm.now();
    let id = {
        let mut state = jsm.state();
        let ticket = state.tickets.get(&link.token).cloned().ok_or_else(no_such_link)?;
        if new.password.chars().count() < SHORTEST_PASSWORD {
            drop(state);
            let sentence = "A password has at least eight characters.";
            let mut response = page(&jsm, &visitor, &link.token, &ticket.email, sentence);
            *response.status_mut() = StatusCode::BAD_REQUEST;
            return Ok(response);
        }
        let known = state.customer(&ticket.email).map(|account| account.account_id.clone());
        let id = match known {
            Some(id) => id,
            None => {
                state.make_account(jsm.random(), AccountType::Customer, &ticket.email, &ticket.display_name, now)?
            }
        };
        state.tickets.remove(&link.token);
        if let Some(account) = state.account_mut(&id) {
            account.password = Some(Secret::generated(new.password));
            account.failed_logins = 0;
        }
        id
    };
    let good = jsm.state().account(&id).is_some_and(super::Account::may_open_portal);
    let (path, jar) = match good {
        true => ("/servicedesk/customer/portals", Some(jsm.open_session(&id, &headers)?)),
        false => ("/servicedesk/customer/user/login", None),
    };
    let mut response = found(&jsm.state().url(path));
    if let Some(jar) = jar {
        jar.write(response.headers_mut());
    }
    Ok(response)
}
