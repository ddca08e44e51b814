"""Operations that combine several packages and are independent of the workflow."""
