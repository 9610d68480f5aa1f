//! Reads tables of an SQLite database, without SQL: <https://www.sqlite.org/fileformat2.html>.

/// How a database begins.
pub const MAGIC: &[u8] = b"SQLite format 3\0";
const HEADER: usize = 100;
/// Pages that belong to a tree.
const INTERIOR: u8 = 5;
const LEAF: u8 = 13;

/// A database.
pub struct Database<'a> {
    bytes: &'a [u8],
    page_size: usize,
    /// The part of a page that is used.
    usable: usize,
}

/// A value of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
}

impl Cell {
    /// Returns it as text; empty if it is none.
    pub fn text(&self) -> String {
        match self {
            Cell::Null => String::new(),
            Cell::Integer(number) => number.to_string(),
            Cell::Real(number) => number.to_string(),
            Cell::Text(text) => text.clone(),
        }
    }

    /// Returns it as a number; NaN if it is none. Numbers that are whole are kept as integers, whatever the column.
    pub fn number(&self) -> f64 {
        match self {
            Cell::Integer(number) => *number as f64,
            Cell::Real(number) => *number,
            Cell::Null | Cell::Text(_) => f64::NAN,
        }
    }
}

type Row = Vec<Cell>;

impl<'a> Database<'a> {
    /// Reads the header.
    ///
    /// # Errors
    /// It has none, or its texts are not UTF-8.
    pub fn open(bytes: &'a [u8]) -> Result<Self, String> {
        let header = bytes.get(..HEADER).ok_or_else(cut_short)?;
        let page_size = match number(header, 16, 2)? {
            1 => 65_536,
            size => size as usize,
        };
        let usable = page_size.saturating_sub(number(header, 20, 1)? as usize);
        if usable < 480 || number(header, 56, 4)? > 1 {
            return Err("its pages or its encoding are of a kind that cannot be read".to_owned());
        }
        Ok(Database { bytes, page_size, usable })
    }

    /// Returns some columns of all rows of a table.
    ///
    /// # Errors
    /// There is no such table or column, or the database is broken.
    pub fn rows<const N: usize>(&self, table: &str, columns: [&str; N]) -> Result<Vec<[Cell; N]>, String> {
        let is_table = |row: &Row| matches!(row.as_slice(), [Cell::Text(kind), Cell::Text(name), ..] if kind == "table" && name == table);
        let tables = self.all_rows(1)?;
        let found = tables.iter().find(|row| is_table(row));
        let Some([.., Cell::Integer(root), Cell::Text(sql)]) = found.map(Vec::as_slice) else {
            return Err(format!("there is no table {table}"));
        };
        let names = column_names(sql);
        let mut places = [0; N];
        for (place, column) in places.iter_mut().zip(columns) {
            let found = names.iter().position(|name| name == column);
            *place = found.ok_or_else(|| format!("the table {table} has no column {column}"))?;
        }
        let rows = self.all_rows(usize::try_from(*root).unwrap_or_default())?;
        // Rows from before a column was added lack it.
        Ok(rows.into_iter().map(|row| places.map(|at| row.get(at).cloned().unwrap_or(Cell::Null))).collect())
    }

    fn page(&self, number: usize) -> Result<&'a [u8], String> {
        let start = number.checked_sub(1).and_then(|before| before.checked_mul(self.page_size));
        let range = start.and_then(|start| Some(start..start.checked_add(self.usable)?));
        range.and_then(|range| self.bytes.get(range)).ok_or_else(cut_short)
    }

    /// Returns the rows of the tree whose root a page is, in their order.
    fn all_rows(&self, root: usize) -> Result<Vec<Row>, String> {
        let (mut rows, mut waiting, mut seen) = (Vec::new(), vec![root], 0);
        while let Some(at) = waiting.pop() {
            seen += 1;
            if seen > self.bytes.len() / self.page_size {
                return Err("its pages form a circle".to_owned());
            }
            let page = self.page(at)?;
            let header = if at == 1 { HEADER } else { 0 };
            let (kind, count) = (number(page, header, 1)? as u8, number(page, header + 3, 2)? as usize);
            let pointers = header + if kind == INTERIOR { 12 } else { 8 };
            let cells = (0..count).map(|cell| Ok(number(page, pointers + 2 * cell, 2)? as usize));
            match kind {
                LEAF => {
                    for cell in cells {
                        rows.push(record(&self.payload(page, cell?)?)?);
                    }
                }
                INTERIOR => {
                    let children = cells.map(|cell: Result<usize, String>| Ok(number(page, cell?, 4)? as usize));
                    let mut children = children.collect::<Result<Vec<_>, String>>()?;
                    children.push(number(page, header + 8, 4)? as usize);
                    waiting.extend(children.into_iter().rev());
                }
                kind => return Err(format!("a page of a table has the kind {kind}")),
            }
        }
        Ok(rows)
    }

    /// Returns the content of a cell of a leaf, with what is on overflow pages.
    fn payload(&self, page: &[u8], cell: usize) -> Result<Vec<u8>, String> {
        let (length, at) = varint(page, cell)?;
        let (_, at) = varint(page, at)?;
        let length = usize::try_from(length).ok().filter(|length| *length <= self.bytes.len()).ok_or_else(cut_short)?;
        let (most, least) = (self.usable - 35, (self.usable - 12) * 32 / 255 - 23);
        let kept = least + length.saturating_sub(least) % (self.usable - 4);
        let local = if length <= most {
            length
        } else if kept <= most {
            kept
        } else {
            least
        };
        let mut payload = page.get(at..at + local).ok_or_else(cut_short)?.to_vec();
        let mut next = if local < length { number(page, at + local, 4)? as usize } else { 0 };
        while payload.len() < length {
            let page = self.page(next)?;
            let rest = page.get(4..).ok_or_else(cut_short)?;
            payload.extend_from_slice(&rest[..rest.len().min(length - payload.len())]);
            next = number(page, 0, 4)? as usize;
        }
        Ok(payload)
    }
}

fn cut_short() -> String {
    "the file is cut short or broken".to_owned()
}

/// Returns an unsigned number, the highest byte first.
fn number(bytes: &[u8], at: usize, length: usize) -> Result<u64, String> {
    let found = at.checked_add(length).and_then(|end| bytes.get(at..end)).ok_or_else(cut_short)?;
    Ok(found.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// Returns a number of one to nine bytes, and where it ends.
fn varint(bytes: &[u8], at: usize) -> Result<(u64, usize), String> {
    let mut found = 0;
    for place in 0..9 {
        let byte = *bytes.get(at + place).ok_or_else(cut_short)?;
        if place == 8 {
            return Ok((found << 8 | u64::from(byte), at + 9));
        }
        found = found << 7 | u64::from(byte & 0x7f);
        if byte < 0x80 {
            return Ok((found, at + place + 1));
        }
    }
    Err(cut_short())
}

/// Reads the values of a row.
fn record(bytes: &[u8]) -> Result<Row, String> {
    let (header, mut at) = varint(bytes, 0)?;
    let (header, mut body) = (usize::try_from(header).map_err(|_| cut_short())?, header as usize);
    let mut row = Vec::new();
    while at < header {
        let (kind, next) = varint(bytes, at)?;
        at = next;
        let length = match kind {
            0 | 8 | 9 => 0,
            1..=4 => kind as usize,
            5 => 6,
            6 | 7 => 8,
            _ => usize::try_from(kind.saturating_sub(12) / 2).map_err(|_| cut_short())?,
        };
        let end = body.checked_add(length).ok_or_else(cut_short)?;
        let found = bytes.get(body..end).ok_or_else(cut_short)?;
        body = end;
        row.push(match kind {
            1..=6 => {
                let unused = 64 - 8 * length as u32;
                Cell::Integer(((number(found, 0, length)? << unused) as i64) >> unused)
            }
            7 => Cell::Real(f64::from_bits(number(found, 0, 8)?)),
            8 => Cell::Integer(0),
            9 => Cell::Integer(1),
            13.. if kind % 2 == 1 => Cell::Text(String::from_utf8_lossy(found).into_owned()),
            // Bytes have no place in what is read here.
            _ => Cell::Null,
        });
    }
    Ok(row)
}

/// Returns the names of columns by the statement that created the table.
fn column_names(sql: &str) -> Vec<String> {
    let (mut parts, mut depth) = (vec![String::new()], 0);
    let mut quote = None;
    for letter in sql.chars() {
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (None, '\'' | '"' | '`') => quote = Some(letter),
            (None, '(') => depth += 1,
            (None, ')') => depth -= 1,
            (None, ',') if depth == 1 => parts.push(String::new()),
            _ if depth == 1 => {
                if let Some(part) = parts.last_mut() {
                    part.push(letter);
                }
            }
            _ => {}
        }
    }
    let is_column = |name: &String| !["CONSTRAINT", "PRIMARY", "FOREIGN", "UNIQUE", "CHECK"].contains(&name.as_str());
    let names = parts.iter().filter_map(|part| Some(part.split_whitespace().next()?.to_owned()));
    names.filter(is_column).collect()
}
