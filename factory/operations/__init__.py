"""Operations that join several shelves and know no order of work."""
