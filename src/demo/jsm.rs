//! What both JSM look-alikes share: how their pages look, how they say no, how they page, and how they fail on order.

pub mod assets;
pub mod desk;
pub mod faults;
pub mod frame;
pub mod html;
pub mod paging;
pub mod problem;
pub mod request_form;
pub mod upload;
pub mod views;
