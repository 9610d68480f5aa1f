//! Pages of a list, by number, as all three vendors have them.

use super::http::{Request, encode};

/// One page of a list.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// From 1.
    pub number: usize,
    pub size: usize,
    /// Items in the whole list.
    pub total: usize,
}

impl Page {
    /// The page that a request asks for. `size` is the name of the parameter, its default and its maximum.
    pub fn of(request: &Request, (size, default, max): (&str, usize, usize), total: usize) -> Page {
        let number = |name: &str| request.param(name).and_then(|text| text.parse::<usize>().ok());
        let number_of = |name: &str| number(name).filter(|&value| value > 0);
        Page { number: number_of("page").unwrap_or(1), size: number_of(size).unwrap_or(default).min(max), total }
    }

    /// How many pages there are; an empty list has one.
    pub fn count(&self) -> usize {
        self.total.div_ceil(self.size).max(1)
    }

    pub fn next(&self) -> Option<usize> {
        (self.number < self.count()).then_some(self.number + 1)
    }

    pub fn previous(&self) -> Option<usize> {
        self.number.checked_sub(1).filter(|&page| page > 0)
    }

    /// The items of this page.
    pub fn items<'a, T>(&self, all: &'a [T]) -> &'a [T] {
        let start = ((self.number - 1).saturating_mul(self.size)).min(all.len());
        &all[start..all.len().min(start.saturating_add(self.size))]
    }

    /// The request's URL, for another page.
    pub fn url(&self, base: &str, request: &Request, page: usize) -> String {
        let others = request.query().into_iter().filter(|(key, _)| key != "page");
        let mut pairs: Vec<String> =
            others.map(|(key, value)| format!("{}={}", encode(&key), encode(&value))).collect();
        pairs.push(format!("page={page}"));
        format!("{base}{}?{}", request.path(), pairs.join("&"))
    }

    /// A `Link` header with the given relations, or `None` without any.
    pub fn links(&self, base: &str, request: &Request, relations: &[(&str, Option<usize>)]) -> Option<String> {
        let known = relations.iter().filter_map(|&(relation, page)| {
            page.map(|page| format!("<{}>; rel=\"{relation}\"", self.url(base, request, page)))
        });
        let links: Vec<String> = known.collect();
        (!links.is_empty()).then(|| links.join(", "))
    }
}
