//! From text to a syntax tree, by the crate `cel`: as a reader of the language alone, without its macros, functions and
//! interpreter.
//!
//! Its recursive parser needs much stack for deep nesting (measured: sixteen pairs of brackets overflow the 2 MiB of a worker
//! in a debug build, and an overflow cannot be caught), so depth is bounded before, and it gets a thread of its own.

use std::thread;

use cel::Env;
use cel::common::ast::{Expr, IdedExpr, SourceInfo};

use super::Mistake;

/// Brackets within brackets.
const DEEPEST: usize = 16;

/// `!`, `-` and `?` in one text: each may nest as well.
const MOST_SIGNS: usize = 48;

/// Room for the parser at the depth that is allowed, many times over. Memory is taken only as far as it is used.
const STACK: usize = 64 * 1024 * 1024;

/// A syntax tree, and where its parts stand in the text.
pub(super) struct Syntax {
    pub(super) root: IdedExpr,
    places: Vec<(u64, usize)>,
}

impl Syntax {
    /// The first character of a part, from 1.
    pub(super) fn place(&self, part: &IdedExpr) -> Option<usize> {
        self.places.iter().find(|(id, _)| *id == part.id).map(|(_, place)| *place)
    }
}

/// Reads a text and makes something of it, all of it where there is room.
pub(super) fn read<T: Send + 'static>(text: &str, make: fn(&Syntax) -> Result<T, Mistake>) -> Result<T, Mistake> {
    if text.trim().is_empty() {
        return Err(Mistake::new("is empty", "write a condition, or remove the key"));
    }
    bounded(text)?;
    let owned = text.to_owned();
    let work = move || make(&parse(&owned)?);
    let reading = thread::Builder::new().name("condition".to_owned()).stack_size(STACK).spawn(work);
    let failed = || Mistake::new("could not be read", "write it in a simpler way");
    reading.map_err(|_| failed())?.join().map_err(|_| failed())?
}

fn parse(text: &str) -> Result<Syntax, Mistake> {
    let program = Env::default().compile(text).map_err(|errors| {
        let first = errors.errors.iter().min_by_key(|error| error.pos);
        let place = first.and_then(|error| place_of(text, error.pos));
        let place = place.map(|place| format!(" at character {place}")).unwrap_or_default();
        Mistake::new(format!("is not a condition: it cannot be read{place}"), "such as '\"staff\" in groups'")
    })?;
    let root = program.expression().clone();
    let mut places = Vec::new();
    collect(&root, program.source_info(), &mut places);
    Ok(Syntax { root, places })
}

/// Line and column, each from 1, as one number.
fn place_of(text: &str, (line, column): (isize, isize)) -> Option<usize> {
    let line = usize::try_from(line).ok()?.checked_sub(1)?;
    let before: usize = text.split_inclusive('\n').take(line).map(|line| line.chars().count()).sum();
    before.checked_add(usize::try_from(column).ok()?.max(1))
}

fn collect(part: &IdedExpr, source: &SourceInfo, places: &mut Vec<(u64, usize)>) {
    if let Some((start, _)) = source.offset_for(part.id) {
        places.push((part.id, usize::try_from(start).unwrap_or(0).saturating_add(1)));
    }
    match &part.expr {
        Expr::Call(call) => {
            call.target.as_deref().into_iter().chain(&call.args).for_each(|e| collect(e, source, places))
        }
        Expr::Select(select) => collect(&select.operand, source, places),
        Expr::List(list) => list.elements.iter().for_each(|e| collect(e, source, places)),
        _ => {}
    }
}

/// Refuses what is nested too deeply, before anything recurses. Quoted text is passed over; where the quotes do not
/// match, the count is too high at worst.
fn bounded(text: &str) -> Result<(), Mistake> {
    let (mut depth, mut deepest, mut signs) = (0_usize, 0_usize, 0_usize);
    let mut quote = None;
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match (quote, c) {
            (Some(_), '\\') => drop(rest.next()),
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '(' | '[' | '{') => {
                depth = depth.saturating_add(1);
                deepest = deepest.max(depth);
            }
            (None, ')' | ']' | '}') => depth = depth.saturating_sub(1),
            (None, '!' | '-' | '?') => signs = signs.saturating_add(1),
            (None, _) => {}
        }
    }
    if deepest > DEEPEST || signs > MOST_SIGNS {
        return Err(Mistake::new("is nested too deeply", "write it in a simpler way, or as several rules"));
    }
    Ok(())
}
