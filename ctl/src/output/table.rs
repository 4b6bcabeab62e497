//! The `table` format: boxes as tablewriter draws them.

use comfy_table::{Cell, CellAlignment, ContentArrangement, ContentLineStyle, LineStyle, TableStyle};

const BOX: TableStyle = TableStyle::new()
    .top_border(LineStyle::new('┌', '─', '┬', '┐'))
    .header_lines(ContentLineStyle::new('│', '│', '│'))
    .header_separator(LineStyle::new('├', '─', '┼', '┤'))
    .content_lines(ContentLineStyle::new('│', '│', '│'))
    .bottom_border(LineStyle::new('└', '─', '┴', '┘'));

/// Named columns and rows of text. The simple format prints the same rows, joined by commas.
#[derive(Clone, Debug)]
pub struct Table {
    pub header: &'static [&'static str],
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// Draws the box: the header in capitals and centred, the cells to the right.
    pub fn render(&self) -> String {
        let header = self.header.iter().enumerate().map(|(column, name)| {
            let widest = self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
            Cell::new(centred(&name.replace('_', " ").to_uppercase(), widest.unwrap_or_default()))
        });
        let mut table = comfy_table::Table::new();
        table.load_style(BOX);
        table.set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(header);
        for row in &self.rows {
            table.add_row(row.iter().map(|cell| Cell::new(cell).set_alignment(CellAlignment::Right)));
        }
        format!("{table}\n")
    }

    /// The rows of the simple format.
    pub fn lines(&self) -> super::Text {
        let mut text = super::Text::new();
        for row in &self.rows {
            text.line(row.join(", "));
        }
        text
    }
}

/// An odd blank goes to the right, unlike comfy-table's own.
fn centred(text: &str, width: usize) -> String {
    format!("{text:^width$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_looks_like_the_one_of_etcdctl() {
        let row = ["127.0.0.1:42379", "7", "started"].map(String::from).to_vec();
        let table = Table { header: &["endpoint", "hash_revision", "Status"], rows: vec![row] };
        assert_eq!(
            table.render(),
            "┌─────────────────┬───────────────┬─────────┐\n\
             │    ENDPOINT     │ HASH REVISION │ STATUS  │\n\
             ├─────────────────┼───────────────┼─────────┤\n\
             │ 127.0.0.1:42379 │             7 │ started │\n\
             └─────────────────┴───────────────┴─────────┘\n"
        );
    }
}
