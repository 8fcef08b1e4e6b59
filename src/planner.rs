//! Lets `order by` and `limit` on our views reach the indexes below them.
//!
//! Our views are security barriers: a function in somebody's WHERE must not be shown rows of other
//! tenants. Postgres plans such a view apart from the query around it, so that every row of it is read
//! and sorted before a LIMIT applies. Row security gives the same guarantee without that price: its
//! conditions belong to the table (`securityQuals`), everything is planned as one, and conditions that
//! might tell values to their caller are evaluated after them. This hook rewrites the one form into
//! the other before the planner sees the query: what a view demands of its table becomes the table's
//! security condition, and the view is a barrier no more.
//!
//! Only views of schema `easysync` of a known shape are opened: one table, or a UNION ALL of plain
//! reads of tables (sql/48_visible.sql), perhaps with an aggregate beside each row. Anything else stays
//! the barrier that it is, slower and as safe; so does everything where the library isn't loaded.

use pgrx::pg_sys::{self, NodeTag, RTEKind};
use pgrx::prelude::*;

/// Deeper nesting than anybody writes: what lies below stays as it is.
const DEEPEST: usize = 100;

static mut PREVIOUS: pg_sys::planner_hook_type = None;

unsafe extern "C-unwind" {
    #[link_name = "standard_planner"]
    fn raw_planner(
        query: *mut pg_sys::Query,
        text: *const std::ffi::c_char,
        options: i32,
        params: pg_sys::ParamListInfo,
    ) -> *mut pg_sys::PlannedStmt;
}

/// Puts the hook in front of the planner.
pub fn install() {
    unsafe {
        PREVIOUS = pg_sys::planner_hook;
        pg_sys::planner_hook = Some(planner);
    }
}

/// Not guarded, as the hook of utility statements: this frame lies under every plan of every session
/// and owns nothing with a destructor.
unsafe extern "C-unwind" fn planner(
    query: *mut pg_sys::Query,
    text: *const std::ffi::c_char,
    options: i32,
    params: pg_sys::ParamListInfo,
) -> *mut pg_sys::PlannedStmt {
    unsafe {
        if has_barrier(query, 0) {
            open_views(query);
        }
        match PREVIOUS {
            Some(previous) => previous(query, text, options, params),
            None => raw_planner(query, text, options, params),
        }
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn open_views(query: *mut pg_sys::Query) {
    unsafe {
        let schema = pg_sys::get_namespace_oid(c"easysync".as_ptr(), true);
        if schema != pg_sys::InvalidOid {
            open_in(query, schema, 0);
        }
    }
}

/// Calls into Postgres are spared where there is nothing to do: nearly always.
unsafe fn has_barrier(query: *mut pg_sys::Query, depth: usize) -> bool {
    unsafe {
        depth < DEEPEST
            && (entries(query).any(|entry| {
                (*entry).rtekind == RTEKind::RTE_SUBQUERY
                    && ((*entry).security_barrier || has_barrier((*entry).subquery, depth + 1))
            }) || with_queries(query).any(|inner| has_barrier(inner, depth + 1)))
    }
}

unsafe fn open_in(query: *mut pg_sys::Query, schema: pg_sys::Oid, depth: usize) {
    if depth >= DEEPEST {
        return;
    }
    unsafe {
        for entry in entries(query) {
            if (*entry).rtekind != RTEKind::RTE_SUBQUERY {
                continue;
            }
            if (*entry).security_barrier
                && pg_sys::get_rel_namespace(view_of(entry)) == schema
                && open((*entry).subquery)
            {
                (*entry).security_barrier = false;
            }
            open_in((*entry).subquery, schema, depth + 1);
        }
        for inner in with_queries(query) {
            open_in(inner, schema, depth + 1);
        }
    }
}

/// The view that a subquery was made from.
unsafe fn view_of(entry: *mut pg_sys::RangeTblEntry) -> pg_sys::Oid {
    // The rewriter leaves the view's own entry first in the subquery; later versions name it outside.
    #[cfg(any(feature = "pg13", feature = "pg14", feature = "pg15"))]
    return unsafe {
        entries((*entry).subquery)
            .next()
            .filter(|first| (**first).rtekind == RTEKind::RTE_RELATION)
            .map_or(pg_sys::InvalidOid, |first| (*first).relid)
    };
    #[cfg(not(any(feature = "pg13", feature = "pg14", feature = "pg15")))]
    return unsafe { (*entry).relid };
}

/// Moves the conditions of a view to what it reads. False: not of the shape, nothing was touched.
unsafe fn open(view: *mut pg_sys::Query) -> bool {
    unsafe {
        let Some(source) = plain_source(view, true) else { return false };
        let condition = (*(*view).jointree).quals;
        if condition.is_null() || !speaks_only_of(condition, source) {
            return false;
        }
        let entry = entry(view, source);
        match (*entry).rtekind {
            RTEKind::RTE_RELATION => {}
            RTEKind::RTE_SUBQUERY if !(*entry).security_barrier && !(*entry).lateral => {
                let union = (*entry).subquery;
                if !reads_only_tables(union, (*union).setOperations) {
                    return false;
                }
                guard_tables(union, (*union).setOperations);
                // It is flattened all the same; were it not, nothing that tells values goes below.
                (*entry).security_barrier = true;
            }
            _ => return false,
        }
        demand(entry, condition);
        (*(*view).jointree).quals = std::ptr::null_mut();
        true
    }
}

/// Adds the last condition to those that an entry's rows have to meet before any other is asked.
unsafe fn demand(entry: *mut pg_sys::RangeTblEntry, condition: *mut pg_sys::Node) {
    unsafe {
        (*entry).securityQuals = pg_sys::lappend((*entry).securityQuals, condition.cast());
    }
}

/// Is it a UNION ALL whose every branch reads one table?
unsafe fn reads_only_tables(union: *mut pg_sys::Query, node: *mut pg_sys::Node) -> bool {
    unsafe {
        if node.is_null() || !is_plain(union) {
            return false;
        }
        if (*node).type_ == NodeTag::T_SetOperationStmt {
            let both = node.cast::<pg_sys::SetOperationStmt>();
            return (*both).op == pg_sys::SetOperation::SETOP_UNION
                && (*both).all
                && reads_only_tables(union, (*both).larg)
                && reads_only_tables(union, (*both).rarg);
        }
        let branch = entry(union, index_of(node));
        if (*branch).rtekind != RTEKind::RTE_SUBQUERY || (*branch).security_barrier {
            return false;
        }
        let Some(source) = plain_source((*branch).subquery, false) else { return false };
        let condition = (*(*(*branch).subquery).jointree).quals;
        (*entry((*branch).subquery, source)).rtekind == RTEKind::RTE_RELATION
            && (condition.is_null() || speaks_only_of(condition, source))
    }
}

/// What each branch demands becomes its table's security condition; a branch without any is open to
/// what the union's own demands let through.
unsafe fn guard_tables(union: *mut pg_sys::Query, node: *mut pg_sys::Node) {
    unsafe {
        if (*node).type_ == NodeTag::T_SetOperationStmt {
            let both = node.cast::<pg_sys::SetOperationStmt>();
            guard_tables(union, (*both).larg);
            guard_tables(union, (*both).rarg);
            return;
        }
        let branch = (*entry(union, index_of(node))).subquery;
        let condition = (*(*branch).jointree).quals;
        if let (false, Some(source)) = (condition.is_null(), plain_source(branch, false)) {
            demand(entry(branch, source), condition);
            (*(*branch).jointree).quals = std::ptr::null_mut();
        }
    }
}

/// The place of the one entry that a query selects from, where it does nothing else. With
/// `aggregates`, a row may have an aggregate beside it: LEFT JOIN LATERAL, computed for rows that the
/// conditions have let through.
unsafe fn plain_source(query: *mut pg_sys::Query, aggregates: bool) -> Option<i32> {
    unsafe {
        if !is_plain(query) || !(*query).setOperations.is_null() {
            return None;
        }
        let mut from = items::<pg_sys::Node>((*(*query).jointree).fromlist);
        let (Some(node), None) = (from.next(), from.next()) else { return None };
        match (*node).type_ {
            NodeTag::T_RangeTblRef => Some(index_of(node)),
            NodeTag::T_JoinExpr if aggregates => {
                let join = node.cast::<pg_sys::JoinExpr>();
                if (*join).jointype != pg_sys::JoinType::JOIN_LEFT
                    || (*(*join).larg).type_ != NodeTag::T_RangeTblRef
                    || (*(*join).rarg).type_ != NodeTag::T_RangeTblRef
                {
                    return None;
                }
                let beside = entry(query, index_of((*join).rarg));
                let aggregate = (*beside).rtekind == RTEKind::RTE_SUBQUERY
                    && (*beside).lateral
                    && (*(*beside).subquery).hasAggs
                    && (*(*beside).subquery).groupClause.is_null()
                    && (*(*beside).subquery).groupingSets.is_null();
                aggregate.then(|| index_of((*join).larg))
            }
            _ => None,
        }
    }
}

/// Neither groups, sorts, limits, locks nor multiplies rows.
unsafe fn is_plain(query: *mut pg_sys::Query) -> bool {
    unsafe {
        let q = &*query;
        q.commandType == pg_sys::CmdType::CMD_SELECT
            && !(q.hasAggs || q.hasWindowFuncs || q.hasTargetSRFs || q.hasModifyingCTE)
            && !q.hasForUpdate
            && q.havingQual.is_null()
            && q.limitOffset.is_null()
            && q.limitCount.is_null()
            && [
                q.cteList,
                q.groupClause,
                q.groupingSets,
                q.distinctClause,
                q.sortClause,
                q.rowMarks,
            ]
            .iter()
            .all(|list| list.is_null())
    }
}

unsafe fn speaks_only_of(condition: *mut pg_sys::Node, source: i32) -> bool {
    unsafe {
        let named = pg_sys::pull_varnos(std::ptr::null_mut(), condition);
        pg_sys::bms_equal(named, pg_sys::bms_make_singleton(source))
    }
}

unsafe fn index_of(reference: *mut pg_sys::Node) -> i32 {
    unsafe { (*reference.cast::<pg_sys::RangeTblRef>()).rtindex }
}

unsafe fn entry(query: *mut pg_sys::Query, index: i32) -> *mut pg_sys::RangeTblEntry {
    unsafe { (*(*(*query).rtable).elements.add(index as usize - 1)).ptr_value.cast() }
}

unsafe fn entries(query: *mut pg_sys::Query) -> impl Iterator<Item = *mut pg_sys::RangeTblEntry> {
    unsafe { items((*query).rtable) }
}

/// The queries of WITH.
unsafe fn with_queries(query: *mut pg_sys::Query) -> impl Iterator<Item = *mut pg_sys::Query> {
    unsafe {
        items::<pg_sys::CommonTableExpr>((*query).cteList)
            .map(|with| (*with).ctequery)
            .filter(|inner| (**inner).type_ == NodeTag::T_Query)
            .map(|inner| inner.cast())
    }
}

unsafe fn items<T>(list: *mut pg_sys::List) -> impl Iterator<Item = *mut T> {
    let length = if list.is_null() { 0 } else { unsafe { (*list).length } };
    (0..length as usize)
        .map(move |place| unsafe { (*(*list).elements.add(place)).ptr_value.cast() })
}
