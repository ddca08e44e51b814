"""Operations on a Cloudflare zone that exists: adopt it, and check plans for what they would take from it."""
