#!/usr/bin/perl
# Writes ngx_http_infer_page_html.c: status.html, with the files that it says
# to include, as a C array, and the policy that allows its one style and its one
# script, by their hashes, and no other.
#
#     perl page.pl status.html > ngx_http_infer_page_html.c
#     perl page.pl --html status.html > the page itself

use strict;
use warnings;

use Digest::SHA qw(sha256_base64);
use File::Basename qw(dirname);

my $as_html = $ARGV[0] eq '--html' && shift;
my ($file) = @ARGV;
my $html = slurp($file);

$html =~ s{^/\* include ([\w.]+) \*/\n}{slurp(dirname($file) . "/$1")}gme;

if ($as_html) {
    print $html;
    exit;
}

sub slurp {
    my ($name) = @_;

    open my $in, '<:raw', $name or die "$name: $!\n";
    local $/;

    return scalar <$in>;
}

# The hash, as the policy wants it, of what stands between a tag and its end.
sub source {
    my ($tag) = @_;
    my @text = $html =~ m{<$tag>(.*?)</$tag>}sg;

    die "$file: not one <$tag>\n" if @text != 1;

    my $hash = sha256_base64($text[0]);
    $hash .= '=' while length($hash) % 4;

    return "'sha256-$hash'";
}

my @policy = (
    "default-src 'none'",
    'script-src ' . source('script'),
    'style-src ' . source('style'),
    "connect-src 'self'",
    'img-src blob: data:',
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
);
my $policy = join "\n", map { "    \"$_; \"" } @policy;
$policy =~ s/; "\z/"/;

my $text = '';

for my $line (split /^/, $html) {
    $line =~ s/([\\"])/\\$1/g;
    $line =~ s/\n/\\n/;
    $text .= "    \"$line\"\n";
}

chomp $text;

print <<"C";

/*
 * status.html as the module has it.  Made by page.pl: change status.html and
 * say \`make page\`.
 */


#include "ngx_http_infer_module.h"


const char  ngx_http_infer_page_policy[] =
$policy;


ngx_str_t  ngx_http_infer_page = ngx_string(
$text);
C
