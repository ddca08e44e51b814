output "ruleset_ids" {
  description = "The ids of the existing rulesets, by kind (custom, rate_limit)."
  value = merge(
    { for ruleset in cloudflare_ruleset.custom : "custom" => ruleset.id },
    { for ruleset in cloudflare_ruleset.rate_limit : "rate_limit" => ruleset.id },
  )
}
