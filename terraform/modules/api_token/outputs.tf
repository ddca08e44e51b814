output "values" {
  description = "The tokens' values, by role (plan, apply): for the store of secrets, and never for a log."
  value       = { for role, token in cloudflare_account_token.this : role => token.value }
  sensitive   = true
}

output "ids" {
  description = "The tokens' ids, by role."
  value       = { for role, token in cloudflare_account_token.this : role => token.id }
}
