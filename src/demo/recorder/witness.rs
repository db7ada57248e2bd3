//! Writes HTTP/2 requests down from their decoded streams, while the server reads them.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Request, Version};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};

use super::{ConnectionTap, RecordedRequest, Recorder, RequestNumber};

pub(super) fn witness(tap: &ConnectionTap, request: Request<Incoming>) -> Request<Body> {
    if request.version() != Version::HTTP_2 {
        return request.map(Body::new);
    }
    let authority = request.uri().authority().map(|host| (":authority".to_owned(), host.as_str().as_bytes().to_vec()));
    let recorded = RecordedRequest {
        connection: tap.id,
        version: "HTTP/2.0".to_owned(),
        method: request.method().to_string(),
        target: request.uri().path_and_query().map(ToString::to_string).unwrap_or_default(),
        headers: authority.into_iter().chain(fields(request.headers())).collect(),
        body: Vec::new(),
        trailers: Vec::new(),
        complete: request.body().is_end_stream(),
    };
    let number = tap.recorder.began(recorded);
    let recorder = tap.recorder.clone();
    request.map(|body| Body::new(Witnessed { body, recorder, number }))
}

fn fields(map: &HeaderMap) -> impl Iterator<Item = (String, Vec<u8>)> + '_ {
    map.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
}

/// A request body that is written down as it is read.
struct Witnessed {
    body: Incoming,
    recorder: Recorder,
    number: RequestNumber,
}

impl HttpBody for Witnessed {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(frame) = &polled {
            let ended = frame.is_none() || self.body.is_end_stream();
            self.recorder.amend(self.number, |request| {
                if let Some(Ok(frame)) = frame {
                    request.body.extend_from_slice(frame.data_ref().map(AsRef::as_ref).unwrap_or_default());
                    request.trailers.extend(frame.trailers_ref().into_iter().flat_map(fields));
                }
                request.complete |= ended;
            });
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
