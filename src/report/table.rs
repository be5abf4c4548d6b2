//! Tables.

use comfy_table::{Attribute, Color, ContentArrangement, presets};
use dialoguer::console::measure_text_width;

use super::visible_in_line;

/// How a cell stands out. Colour is never the only signal: the text says it, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Emphasis {
    /// Not at all.
    #[default]
    None,
    /// Good.
    Good,
    /// To be looked at.
    Warning,
    /// Bad.
    Bad,
}

/// Whether text is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coloring {
    /// It is.
    Colored,
    /// It is not.
    Plain,
}

/// One cell.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cell {
    text: String,
    emphasis: Emphasis,
}

impl Cell {
    /// A cell that stands out.
    pub fn new(text: impl Into<String>, emphasis: Emphasis) -> Self {
        Self {
            text: text.into(),
            emphasis,
        }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self {
            text: text.into(),
            emphasis: Emphasis::None,
        }
    }
}

/// Rows under headings, columns aligned, no borders.
#[derive(Debug, Clone, Default)]
pub struct Table {
    headings: Vec<String>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// An empty table.
    pub fn new(headings: &[&str]) -> Self {
        let headings = headings
            .iter()
            .map(|heading| (*heading).to_owned())
            .collect();
        Self {
            headings,
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Takes a column out, if there is one with this heading.
    pub fn remove(&mut self, heading: &str) {
        let Some(column) = self.headings.iter().position(|known| known == heading) else {
            return;
        };
        self.headings.remove(column);
        for row in self.rows.iter_mut().filter(|row| column < row.len()) {
            row.remove(column);
        }
    }

    /// Columns of a terminal that the widest line takes.
    pub fn width(&self) -> usize {
        let text = self.render(Coloring::Plain);
        text.lines().map(measure_text_width).max().unwrap_or(0)
    }

    /// The table as text, one line per row, without trailing spaces.
    pub fn render(&self, coloring: Coloring) -> String {
        let color = coloring == Coloring::Colored;
        let mut table = comfy_table::Table::new();
        table
            .load_style(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Disabled);
        if color {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        table.set_header(self.headings.iter().map(|heading| {
            let cell = comfy_table::Cell::new(heading);
            if color {
                cell.add_attribute(Attribute::Bold)
            } else {
                cell
            }
        }));
        for row in &self.rows {
            table.add_row(row.iter().map(|cell| styled(cell, coloring)));
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        let text = table.to_string();
        text.lines()
            .map(|line| format!("{}\n", line.trim_end()))
            .collect()
    }
}

fn styled(cell: &Cell, coloring: Coloring) -> comfy_table::Cell {
    let styled = comfy_table::Cell::new(visible_in_line(&cell.text));
    match cell.emphasis {
        _ if coloring == Coloring::Plain => styled,
        Emphasis::None => styled,
        Emphasis::Good => styled.fg(Color::Green),
        Emphasis::Warning => styled.fg(Color::Yellow),
        Emphasis::Bad => styled.fg(Color::Red),
    }
}

#[cfg(test)]
mod tests {
    use super::{Coloring, Table};

    #[test]
    fn a_cell_stays_in_its_row_and_does_nothing_to_a_terminal() {
        let mut table = Table::new(&["KEY"]);
        table.row(vec!["a\nb\u{1b}[2J".into()]);
        assert_eq!(table.render(Coloring::Plain), "KEY\na\\nb\\u{1b}[2J\n");
    }

    #[test]
    fn columns_line_up_without_borders() {
        let mut table = Table::new(&["NAME", "READY"]);
        table.row(vec!["collector".into(), "2/2".into()]);
        table.row(vec!["api".into(), "1/1".into()]);
        assert_eq!(
            table.render(Coloring::Plain),
            "NAME       READY\ncollector  2/2\napi        1/1\n"
        );
    }
}
